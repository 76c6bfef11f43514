"""Files that a killed writer left in a directory of objects."""

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path

# What obstore, and we, call a file that is not written to its end.
_NAME = re.compile(r".+#\d+|\.tmp-.+")


def is_leftover(name: str) -> bool:
    """Whether a file is one that is being written, or was when its writer died.

    Examples
    --------
    >>> is_leftover("table.parquet#1"), is_leftover("table.parquet")
    (True, False)
    """
    return _NAME.fullmatch(name) is not None


def leftovers_below(directory: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """Each of them, and its state; those of living writers may be among them."""
    for path in directory.rglob("*"):
        # A writer that is alive may end meanwhile.
        with contextlib.suppress(FileNotFoundError):
            if is_leftover(path.name):
                yield path, path.stat()
