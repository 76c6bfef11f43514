"""One HTTP answer: the conditions it is asked under, and its bytes in a part file."""

import email.utils
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ml_assets.core import progress
from ml_assets.core.files import read_json, write_json
from ml_assets.core.retry import PassingFault

if TYPE_CHECKING:
    import requests

_CHUNK = 1 << 18
_PARTIAL = 206


def note_of(path: Path) -> Path:
    """The file that keeps the validators (ETag, Last-Modified) of `path`."""
    return path.with_name(path.name + ".json")


def validators(headers: Mapping[str, str]) -> dict[str, str]:
    """What identifies this very content on the server; empty where nothing does."""
    names = ("ETag", "Last-Modified")
    return {name: headers[name] for name in names if headers.get(name)}


def conditions(target: Path, part: Path) -> dict[str, str]:
    """Headers that ask for the rest of `part`, or for what is newer than `target`."""
    # Compressed in transit, a length and a range would count other bytes than ours.
    headers = {"Accept-Encoding": "identity"}
    begun = part.stat().st_size if part.exists() else 0
    if begun:
        strong = _strong(read_json(note_of(part)) or {})
        if strong:
            return {**headers, "Range": f"bytes={begun}-", "If-Range": strong}
    note = (read_json(note_of(target)) or {}) if target.exists() else {}
    if "ETag" in note:
        headers["If-None-Match"] = note["ETag"]
    elif "Last-Modified" in note:
        headers["If-Modified-Since"] = note["Last-Modified"]
    return headers


def _strong(note: dict[str, str]) -> str | None:
    """The validator that HTTP allows in If-Range: a weak ETag is not."""
    tag = note.get("ETag")
    if tag is None:
        return note.get("Last-Modified")
    return None if tag.startswith("W/") else tag


def save(
    response: "requests.Response",
    part: Path,
    deadline: float,
    clock: Callable[[], float],
) -> None:
    """Write the body to `part`, after what it holds where the answer goes on from it.

    Raises
    ------
    PassingFault
        The body ended early, stopped coming, or the deadline passed; what arrived is in
        `part`.
    """
    from urllib3.exceptions import HTTPError

    start = part.stat().st_size if part.exists() else 0
    resumed = response.status_code == _PARTIAL
    if resumed and _range_start(response.headers) != start:
        part.unlink()
        raise PassingFault("the server sent another part than was asked for")
    if not resumed:
        part.unlink(missing_ok=True)
        write_json(note_of(part), validators(response.headers))
        start = 0
    length = response.headers.get("Content-Length", "")
    expected = start + int(length) if length.isdigit() else None
    size = start
    with part.open("ab") as stream:
        while True:
            try:
                block = response.raw.read1(_CHUNK)
            except (HTTPError, OSError):
                raise PassingFault(_cut(size, expected)) from None
            if not block:
                break
            size += stream.write(block)
            # What arrived is kept, even if this process is killed.
            stream.flush()
            progress.report("bytes", size, expected)
            if clock() >= deadline:
                raise PassingFault(f"only {size:,} bytes had arrived")
    if expected is not None and size != expected:
        raise PassingFault(_cut(size, expected))


def _cut(size: int, expected: int | None) -> str:
    of = f" of {expected:,}" if expected is not None else ""
    return f"the connection broke after {size:,}{of} bytes"


def _range_start(headers: Mapping[str, str]) -> int | None:
    unit, _, span = headers.get("Content-Range", "").partition(" ")
    start = span.partition("-")[0]
    return int(start) if unit == "bytes" and start.isdigit() else None


def unlike_data(headers: Mapping[str, str]) -> str | None:
    """Why the answer is no file of data, or None: a log-in page answers 200, too."""
    if headers.get("Content-Type", "").lower().startswith("text/html"):
        return (
            "the server sent a web page (text/html) and not a file;"
            " check the address, and whether it asks to log in"
        )
    return None


def retry_after(header: str | None) -> float:
    """Seconds that a Retry-After header asks for; 0 where it is missing or malformed.

    Examples
    --------
    >>> retry_after("120"), retry_after(None)
    (120.0, 0.0)
    """
    if header is None:
        return 0.0
    if header.strip().isdigit():
        return float(header)
    try:
        moment = email.utils.parsedate_to_datetime(header).timestamp()
    except ValueError:
        return 0.0
    return max(moment - time.time(), 0.0)
