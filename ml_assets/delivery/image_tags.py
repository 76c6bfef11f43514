"""The tags that a build pushes, and which of them is the newest version.

One repository holds three images of a commit, its targets. A tag is a name, a hyphen
and a target; a name alone means the target ``base``, the code location.

==================  =======================================  =====================
name                made from                                moves
==================  =======================================  =====================
``main``            the newest commit of main                with every commit
``sha-<commit>``    a commit, all 40 digits                  never
``v1.2.3``          a tag of the same name in git            never
==================  =======================================  =====================
"""

import re
from collections.abc import Iterable
from typing import NamedTuple

TARGETS = ("base", "production", "observability")
CODE_LOCATION, MODEL_SERVER = "base", "production"
MAIN = "main"

_TAG = re.compile(rf"(?P<name>.+?)(?:-(?P<target>{'|'.join(TARGETS)}))?")
_NUMBER = r"(?:0|[1-9]\d*)"
_PART = r"(?:0|[1-9]\d*|\d*[A-Za-z-][\dA-Za-z-]*)"
_VERSION = re.compile(
    rf"v(?P<numbers>{_NUMBER}\.{_NUMBER}\.{_NUMBER})"
    rf"(?:-(?P<pre>{_PART}(?:\.{_PART})*))?"
)


class Tag(NamedTuple):
    """The two parts of a tag."""

    name: str
    target: str


def parse(tag: str) -> Tag:
    """The name and the target of a tag.

    Examples
    --------
    >>> parse("v1.2.3-rc.1-production")
    Tag(name='v1.2.3-rc.1', target='production')
    >>> parse("main")
    Tag(name='main', target='base')
    """
    found = _TAG.fullmatch(tag)
    if found is None:
        return Tag(tag, CODE_LOCATION)
    return Tag(found["name"], found["target"] or CODE_LOCATION)


def spellings(name: str, target: str) -> tuple[str, ...]:
    """The tags that may hold the image `target` of `name`, the surest first."""
    alone = (name,) if target == CODE_LOCATION else ()
    return (f"{name}-{target}", *alone)


def is_version(name: str) -> bool:
    """Whether `name` is a version such as ``v1.2.3`` or ``v1.2.3-rc.1``.

    Examples
    --------
    >>> is_version("v1.2.3"), is_version("v1.2"), is_version("main")
    (True, False, False)
    """
    return _VERSION.fullmatch(name) is not None


def newest_version(tags: Iterable[str]) -> str | None:
    """The name with the highest version by the rules of semver; None without any.

    Examples
    --------
    >>> newest_version(["v1.9.0", "v1.10.0-base", "v1.10.0-rc.2", "main"])
    'v1.10.0'
    """
    names = {parse(tag).name for tag in tags}
    return max(filter(is_version, names), key=_precedence, default=None)


def _precedence(name: str) -> tuple[list[int], bool, list[tuple[bool, int, str]]]:
    """Where a version stands: a release candidate comes before its release."""
    found = _VERSION.fullmatch(name)
    if found is None:
        raise ValueError(f"'{name}' is no version such as v1.2.3")
    numbers = [int(part) for part in found["numbers"].split(".")]
    parts = (found["pre"] or "").split(".")
    rank = [
        (not part.isdigit(), int(part) if part.isdigit() else 0, part) for part in parts
    ]
    return numbers, found["pre"] is None, rank
