"""Words of the field: what was given up comes back neither as a name nor in a text."""

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# A part of a name between underscores or capitals.
PARTS = {
    "announce", "announced", "announcement", "announcements", "conclude", "concluded",
    "conclusion", "conclusions", "door", "doors", "doorway", "happening", "happenings",
    "lane", "lanes", "relabel", "standing", "stories", "story", "tell", "telling",
    "tells", "told", "weaving",
}  # fmt: skip
# A whole name.
NAMES = {"Held", "Order", "Place", "heads", "looks", "roles", "says", "taken"}
# Where a file is read or written, in Python's own words.
FOREIGN = {("attr", "tell"), ("name", "tell")}
INSIDE = re.compile(r"in_force|way_back|mirror_aliases")
# In texts for people. The changelog keeps the names that were.
TEXTS = re.compile(
    r"\b(in force|way back|announcements?|happenings|weaving|doorways?"
    r"|put in force|ml-assets (?:door|explain|release)|ML_ASSETS_DOOR)\b"
)
KEPT = {"CHANGELOG.md", "benchmarks/RESULTS.md", "ml_assets_tests/unit/test_words.py"}
SUFFIXES = {".html", ".json", ".md", ".py", ".sh", ".toml", ".yaml", ".yml"}


def files(*suffixes: str) -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    return [
        Path(name)
        for name in listed
        if name not in KEPT
        and Path(name).suffix in suffixes
        and (ROOT / name).is_file()
    ]


def names(tree: ast.AST) -> set[str]:
    """Every name that a module gives to something, or asks for."""
    found: set[str] = set()
    for node in ast.walk(tree):
        for field in ("id", "name", "attr", "arg", "asname"):
            name = getattr(node, field, None)
            if isinstance(name, str) and (field, name) not in FOREIGN:
                found.add(name)
    return found


def parts(name: str) -> set[str]:
    return {part.lower() for part in re.findall(r"[A-Z]?[a-z]+|[A-Z]+", name)}


def given_up(name: str) -> bool:
    return bool(name in NAMES or parts(name) & PARTS or INSIDE.search(name))


@pytest.mark.parametrize(
    "name", ["told", "told_of", "StoryTeller", "put_in_force", "Place", "lane_count"]
)
def test_a_name_that_was_given_up_is_found(name: str) -> None:
    assert given_up(name)


@pytest.mark.parametrize("name", ["placed", "held_out", "in_order", "Storage", "lines"])
def test_a_plain_word_is_none(name: str) -> None:
    assert not given_up(name)


def test_no_name_in_code_is_one_that_was_given_up() -> None:
    found = {}
    for path in files(".py"):
        tree = ast.parse((ROOT / path).read_text("utf-8"))
        own = {*names(tree), *path.with_suffix("").parts}
        wrong = {name for name in own if given_up(name)}
        if wrong:
            found[str(path)] = sorted(wrong)
    assert found == {}


def test_no_text_uses_what_was_given_up() -> None:
    found = [
        f"{path}:{number}: {line.strip()}"
        for path in files(*SUFFIXES)
        for number, line in enumerate((ROOT / path).read_text("utf-8").splitlines(), 1)
        if TEXTS.search(line)
    ]
    assert found == []
