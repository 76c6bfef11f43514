"""The floors of the package: each uses only those below it, as ARCHITECTURE.md says."""

import re
import tomllib
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).parents[2]


def contract() -> dict[str, object]:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    contracts = tomllib.loads(text)["tool"]["importlinter"]["contracts"]
    (found,) = [item for item in contracts if item.get("containers") == ["ml_assets"]]
    return dict(found)


def floors() -> list[list[str]]:
    """The packages of each floor, bottom first."""
    layers = contract()["layers"]
    assert isinstance(layers, list)
    return [layer.split(" | ") for layer in reversed(layers)]


FLOORS = floors()
PAIRS = [
    (below, above)
    for number, floor in enumerate(FLOORS[:-1])
    for below in floor
    for above in FLOORS[number + 1]
]
BESIDE = [tuple(floor) for floor in FLOORS if len(floor) > 1]


@pytest.fixture(scope="module")
def graph() -> grimp.ImportGraph:
    return grimp.build_graph("ml_assets", cache_dir=None)


def illegal(graph: grimp.ImportGraph) -> set[tuple[str, str]]:
    layers = [{*floor} for floor in reversed(FLOORS)]
    found = graph.find_illegal_dependencies_for_layers(layers, containers={"ml_assets"})
    return {(item.importer, item.imported) for item in found}


def test_no_floor_uses_one_above_it(graph: grimp.ImportGraph) -> None:
    assert illegal(graph) == set()


@pytest.mark.parametrize("below, above", [*PAIRS, *BESIDE])
def test_an_import_of_the_floor_above_is_found(
    graph: grimp.ImportGraph, below: str, above: str
) -> None:
    low, high = f"ml_assets.{below}", f"ml_assets.{above}"
    graph.add_import(importer=low, imported=high)
    try:
        assert (low, high) in illegal(graph)
    finally:
        graph.remove_import(importer=low, imported=high)


def test_every_package_has_its_floor_and_the_root_holds_nothing_else() -> None:
    package = ROOT / "ml_assets"
    names = {item.stem for item in package.iterdir() if not item.name.startswith("__")}
    assert names - {"py", "defs"} == {name for floor in FLOORS for name in floor}
    assert contract()["exhaustive"] is True
    loose = {item.name for item in package.glob("*.py")}
    assert loose == {"__init__.py", "definitions.py"}


def test_no_import_is_excused_from_the_floors() -> None:
    assert not {"ignore_imports", "allow_indirect_imports"} & {*contract()}


def test_the_architecture_lists_the_floors_in_their_order() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    section = text.split("## Floors")[1].split("\n## ")[0]
    rows = re.findall(r"^\| ((?:`\w+`(?:, )?)+) \| \S", section, re.MULTILINE)
    listed = [re.findall(r"`(\w+)`", row) for row in rows]
    assert listed == FLOORS[::-1]


def test_modules_are_short_enough_to_be_read() -> None:
    lengths = {
        str(path.relative_to(ROOT)): len(path.read_text("utf-8").splitlines())
        for path in (ROOT / "ml_assets").rglob("*.py")
    }
    assert {name: size for name, size in lengths.items() if size > 300} == {}
