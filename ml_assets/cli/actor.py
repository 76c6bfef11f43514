"""Who calls a command, for the ledger."""

import getpass
import os


def user() -> str:
    """Name of the user; the number where the system knows no name, as in containers."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"


def who() -> str:
    """The user as the ledger names those who act."""
    return f"user {user()}"
