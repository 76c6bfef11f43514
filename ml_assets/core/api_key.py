"""The headers that our own clients of the model server send."""

import os
from pathlib import Path

# Names of variables.
API_KEY = "ML_ASSETS_API_KEY"  # pragma: allowlist secret
API_KEY_FILE = "ML_ASSETS_API_KEY_FILE"  # pragma: allowlist secret

# Marks a smoke request, whose predictions are not logged.
SMOKE_HEADER = "x-smoke-request"
SMOKE = {SMOKE_HEADER: "1"}


def credentials() -> dict[str, str]:
    """The header with the key that the environment names; empty where it names none.

    ``ML_ASSETS_API_KEY`` is the key, and ``ML_ASSETS_API_KEY_FILE`` a file with it.

    Raises
    ------
    ValueError
        If the file cannot be read.
    """
    key = os.environ.get(API_KEY, "").strip()
    file = os.environ.get(API_KEY_FILE)
    if not key and file:
        try:
            key = Path(file).read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ValueError(f"{API_KEY_FILE} {file} cannot be read: {error}") from None
    return {"authorization": f"Bearer {key}"} if key else {}
