"""``${NAME}`` in a model's YAML, filled in where it is used and shown nowhere."""

import os
import re
from dataclasses import dataclass, field
from urllib.parse import quote, unquote

from ml_assets.ml.tables import SourceError

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
# Greedy up to the last @: a password may hold one.
_PASSWORD = re.compile(r"(?<=://)([^:/?#]*):(.*)@")


@dataclass(frozen=True)
class Expanded:
    """A text of the YAML with its variables filled in.

    Attributes
    ----------
    shown : str
        The text as written, which may be printed.
    value : str
        The text as meant, which may not.
    secrets : tuple of (str, str)
        What `redact` replaces, and by what.
    """

    shown: str
    value: str = field(repr=False)
    secrets: tuple[tuple[str, str], ...] = field(repr=False)

    def redact(self, message: str) -> str:
        """`message`, for example of a driver, without the values of the variables."""
        for secret, shown in self.secrets:
            message = message.replace(secret, shown)
        return message


def expand(text: str | None, name: str) -> Expanded:
    """Fill in the variables of `text`; `name` is that of the text in errors.

    Raises
    ------
    SourceError
        A variable is not set.

    Examples
    --------
    >>> import os
    >>> os.environ["DATA_HOME"] = "/srv/data"
    >>> path = expand("${DATA_HOME}/adult.csv", "csv source: path")
    >>> path.value, path.shown
    ('/srv/data/adult.csv', '${DATA_HOME}/adult.csv')
    """
    written = text or ""
    secrets: dict[str, str] = {}

    def fill(match: re.Match[str]) -> str:
        value = os.environ.get(match[1])
        if value is None:
            raise SourceError(
                f"{name}: the environment variable {match[1]} is not set"
                f" (used in '{hide_password(written)}')"
            )
        if value:
            secrets[value] = match[0]
        return value

    value = _VARIABLE.sub(fill, written)
    password = _PASSWORD.search(value)
    if password and password[2]:
        for form in {password[2], unquote(password[2]), quote(password[2])}:
            secrets.setdefault(form, "***")
    longest_first = sorted(secrets.items(), key=lambda item: -len(item[0]))
    return Expanded(hide_password(written), value, tuple(longest_first))


def hide_password(url: str) -> str:
    """`url` with a password that is written out replaced by ``***``."""

    def hide(match: re.Match[str]) -> str:
        hidden = match[2] if _VARIABLE.fullmatch(match[2]) else "***"
        return f"{match[1]}:{hidden}@"

    return _PASSWORD.sub(hide, url)
