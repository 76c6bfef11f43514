"""Lowest versions in which published faults are mended, compared with the lock file.

``.github/minimum-versions.txt`` names packages, the first version in which a published
fault is mended, and the advisory. It needs no network, so it runs with every change;
in GitHub, ``make audit-online`` asks a database of all advisories besides.
"""

import re
import sys
from pathlib import Path
from typing import NamedTuple

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[1]
MINIMUM = ROOT / ".github" / "minimum-versions.txt"
LOCK = ROOT / "requirements.lock"
_PINNED = re.compile(r"^([\w.\[\],-]+)==([^\s;\\]+)", re.MULTILINE)
_ADVISORY = re.compile(r"(CVE-\d{4}-\d{4,}|GHSA(-[0-9a-z]{4}){3}|PYSEC-\d{4}-\d+)")


class Floor(NamedTuple):
    """The lowest version of a package that is accepted, and why."""

    package: str
    version: Version
    advisories: str


def read_floors(text: str) -> list[Floor]:
    """The reviewed list: ``package>=version  # advisories``, one a line.

    Raises
    ------
    ValueError
        If a line is anything else, or names no advisory.
    """
    floors = []
    for number, line in enumerate(text.splitlines(), 1):
        wanted, _, advisories = (part.strip() for part in line.partition("#"))
        if not wanted:
            continue
        requirement = Requirement(wanted)
        bounds = [(item.operator, item.version) for item in requirement.specifier]
        if len(bounds) != 1 or bounds[0][0] != ">=":
            raise ValueError(f"line {number}: '{wanted}' is not package>=version")
        if not _ADVISORY.search(advisories):
            raise ValueError(f"line {number}: {wanted} names no advisory")
        name = canonicalize_name(requirement.name)
        floors.append(Floor(name, Version(bounds[0][1]), advisories))
    return floors


def read_pins(text: str) -> dict[str, list[Version]]:
    """Package to the versions that a lock file pins; it may pin one per platform."""
    found: dict[str, list[Version]] = {}
    for name, version in _PINNED.findall(text):
        package = canonicalize_name(name.partition("[")[0])
        found.setdefault(package, []).append(Version(version))
    return found


def violations(floors: list[Floor], pins: dict[str, list[Version]]) -> list[str]:
    """What is pinned below its floor."""
    return [
        f"{floor.package} {version} has {floor.advisories}; {floor.version} or newer"
        for floor in floors
        for version in pins.get(floor.package, [])
        if version < floor.version
    ]


def main() -> int:
    """Print what is too old; how many there are.

    Raises
    ------
    ValueError
        If no floor is named.
    """
    floors = read_floors(MINIMUM.read_text())
    pinned = {LOCK.name: read_pins(LOCK.read_text())}
    for path in sorted((ROOT / "docker").glob("*.txt")):
        pinned[path.name] = read_pins(path.read_text())
    if not floors:
        raise ValueError(f"{MINIMUM} names no package, so nothing would be checked")
    found = [
        f"{name}: {text}"
        for name, pins in pinned.items()
        for text in violations(floors, pins)
    ]
    # A name that is misspelt, or not needed any more, would hold nothing.
    found += [
        f"{MINIMUM.name} names {floor.package}, and {LOCK.name} does not pin it"
        for floor in floors
        if floor.package not in pinned[LOCK.name]
    ]
    print("\n".join(found) or f"{len(floors)} packages are at or above their floors")
    return len(found)


if __name__ == "__main__":
    sys.exit(min(main(), 1))
