"""The documents agree with the code."""

import itertools
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import click
import pytest

from ml_assets.cli import RENAMED, main
from ml_assets.delivery import ci_status, environments
from ml_assets.delivery.checks import DESCRIPTIONS
from ml_assets.serving.settings import ServerSettings
from ml_assets.spec import model
from ml_assets.spec import source as model_source
from ml_assets.spec.base import BaseSpec
from ml_assets_tests.kits.commands import faults, inline_faults
from ml_assets_tests.kits.docs import (
    DOCUMENTS,
    EXECUTED,
    ROOT,
    anchors,
    broken_links,
    read,
)

PARTS = [
    part
    for part in {**vars(model), **vars(model_source)}.values()
    if isinstance(part, type) and issubclass(part, BaseSpec) and part.model_fields
]


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.__name__)
def test_every_key_of_the_yaml_is_documented(part: type[BaseSpec]) -> None:
    text = (ROOT / "docs" / "models.md").read_text(encoding="utf-8")
    assert [name for name in part.model_fields if f"{name}" not in text] == []


def test_every_source_is_documented() -> None:
    text = (ROOT / "docs" / "models.md").read_text(encoding="utf-8")
    assert [
        name for name in get_args(model_source.SourceType) if f"`{name}`" not in text
    ] == []


def test_every_variable_and_check_of_delivery_is_documented() -> None:
    text = (ROOT / "docs" / "delivery.md").read_text(encoding="utf-8")
    variables = {
        name
        for module in (environments, ci_status)
        for name in re.findall(
            r"\b(?:K8S|ML_ASSETS)_[A-Z0-9_]*[A-Z0-9]\b",
            Path(module.__file__).read_text(encoding="utf-8"),
        )
    }
    assert [name for name in variables if f"`{name}`" not in text] == []
    assert [name for name in DESCRIPTIONS if f"| `{name}` |" not in text] == []


FORMER = next(iter(RENAMED))
each_document = pytest.mark.parametrize(
    "document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT))
)


@each_document
def test_commands_exist_and_take_their_options(document: Path) -> None:
    found = [
        f"{block.line}: {fault}"
        for block in read(document).shell
        for fault in faults(block.text)
    ]
    found += [
        f"{number}: {fault}"
        for number, span in _spans(document)
        if not (document.name == "CHANGELOG.md" and _is_former(span))
        for fault in inline_faults(span)
    ]
    assert found == []


def _is_former(span: str) -> bool:
    """Whether a command has another name now, which the changelog lists."""
    program, *words = span.split() or [""]
    return program == "ml-assets" and words[:1] in [[name] for name in RENAMED]


def _spans(document: Path) -> Iterator[tuple[int, str]]:
    """Line and text of what stands between backticks in a sentence."""
    for number, line in read(document).prose:
        yield from ((number, found[1]) for found in re.finditer(r"`([^`]+)`", line))


def test_what_looks_as_if_it_were_run_is_run() -> None:
    claimed = {
        document.relative_to(ROOT)
        for document in DOCUMENTS
        if any(block.language == "bash" for block in read(document).blocks)
    }
    assert claimed == {Path("docs", f"{name}.md") for name in EXECUTED}


@pytest.mark.parametrize(
    "script, message",
    [
        ("ml-assets trian churn", "No such command 'trian'"),
        ("ml-assets train", "Missing argument 'MODEL'"),
        ("KEY=1 .venv/bin/ml-assets train churn --frce", "No such option '--frce'"),
        ("ml-assets train churn --source '{type: csv}'", "needs path"),
        ("ml-assets models && make dmo", "the Makefile has no target dmo"),
        ('echo "$(ml-assets versions churn --limt 1)"', "No such option '--limt'"),
        ("dg check yml", "No such command 'yml'"),
        ("dagster sensor preview inbox --nope", "No such option '--nope'"),
        ("dg scaffold defs nope.Nope x", "No registry object `nope.Nope`"),
        ("ml-asset models", "ml-asset is no known program"),
        ("docker build --target prod .", "the Dockerfile has no target prod"),
        ("docker compose run --rm rolout", "compose.yaml has no service rolout"),
        ("helm lint helm/ml-asset", "helm/ml-asset does not exist"),
        ("python -m benchmarks.nothing", "there is no module benchmarks.nothing"),
    ],
)
def test_a_wrong_command_is_noticed(script: str, message: str) -> None:
    (fault,) = faults(script)
    assert message in fault


@pytest.mark.parametrize(
    "script",
    [
        "ml-assets rollback churn",  # asks for a reason
        "ml-assets feedback churn labels.csv",  # which the reader has
        "ml-assets train --help",
        "cat > x <<'END'\nml-assets nothing\nEND\nml-assets models  # ml-assets no",
        "for n in 1 2; do ml-assets versions churn \\\n  --limit $n > log 2>&1; done",
    ],
)
def test_a_right_command_is_left_alone(script: str) -> None:
    assert faults(script) == []


@pytest.mark.parametrize(
    "span, message",
    [
        ("ml-assets experiment MODEL --stap REASON", "--stap"),
        ("ml-assets nothing", "nothing"),
        (f"ml-assets {FORMER} MODEL", f"is now called `{RENAMED[FORMER]}`"),
        ("make nothing", "nothing"),
    ],
)
def test_a_wrong_command_within_a_sentence_is_noticed(span: str, message: str) -> None:
    (fault,) = inline_faults(span)
    assert message in fault


@each_document
def test_links_lead_to_files_and_headings(document: Path) -> None:
    assert broken_links(document) == []


def test_a_broken_link_is_noticed(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# A `b` & c_d\n\n[1](#a-b--c_d) [2](#a) [3](no.md) [4](page.md#no)\n"
        "```bash\n# no heading [5](no.md)\n```\n"
    )
    assert anchors(page) == {"a-b--c_d"}
    assert len(broken_links(page)) == 3


@each_document
def test_variables_are_those_of_the_code(document: Path) -> None:
    named = set(re.findall(r"\bML_ASSETS_[A-Z][A-Z_]*[A-Z]\b", document.read_text()))
    assert named - _variables() == set()


def _variables() -> set[str]:
    """Every variable that the code, the images or the charts know by its name."""
    commands = [main.get_command(click.Context(main), name) for name in main.modules]
    known = {
        str(option.envvar)
        for command in commands
        if command is not None
        for option in command.params
    }
    known |= {f"ML_ASSETS_{name.upper()}" for name in ServerSettings.__struct_fields__}
    for pattern in ("ml_assets/**/*.py", "ml_assets_tests/**/*.py", "compose.yaml"):
        for path in ROOT.glob(pattern):
            known |= set(re.findall(r"ML_ASSETS_[A-Z_]+", path.read_text()))
    return known


PAIRS = {"(": ")", "[": "]", "{": "}"}


@each_document
def test_diagrams_are_whole(document: Path) -> None:
    for block in read(document).blocks:
        if block.language == "mermaid":
            _check_diagram(block.text)


def _check_diagram(text: str) -> None:
    """Kind, brackets, quotes and blocks, which is what breaks when one edits."""
    first, *lines = text.splitlines()
    kind = first.split()[0]
    assert kind in {"flowchart", "sequenceDiagram", "stateDiagram-v2"}, first
    depth = 0
    for line in lines:
        assert line.count('"') % 2 == 0, line
        opened: list[str] = []
        for sign in re.sub(r'"[^"]*"', "", line):
            if sign in PAIRS:
                opened.append(PAIRS[sign])
            elif sign in PAIRS.values():
                assert opened and opened.pop() == sign, line
        assert not opened, line
        word = (line.split() or [""])[0]
        depth += word in {"subgraph", "alt", "loop", "opt", "par", "critical"}
        depth -= word == "end"
        arrow = (
            r"-->|---|-\.->|-\. |==>|-- " if kind == "flowchart" else r"->>|-->>|-->"
        )
        plain = {"subgraph", "end", "direction", "participant", "actor", "Note", "alt"}
        plain |= {"else", "loop", "opt", "par", "and", "classDef", "class", "note"}
        is_node = re.fullmatch(r"\s*\w+([\[({>].*)?", line)
        assert not word or word in plain or re.search(arrow, line) or is_node, line
    assert depth == 0, "a block is never ended"


@pytest.mark.parametrize(
    "text",
    [
        "graph of things\n  a --> b",
        "flowchart LR\n  a[x --> b",
        "flowchart LR\n  a b",
        'flowchart LR\n  a["x] --> b',
        "flowchart LR\n  subgraph one\n  a --> b",
    ],
)
def test_a_broken_diagram_is_noticed(text: str) -> None:
    with pytest.raises(AssertionError):
        _check_diagram(text)


def test_the_assets_are_drawn_with_the_dependencies_that_they_have() -> None:
    page = read(ROOT / "docs" / "architecture.md")
    (drawing,) = (block.text for block in page.blocks if "job train" in block.text)
    drawn = set()
    for line in drawing.splitlines():
        names = re.split(r" --> ", re.sub(r"[{\[(].*", "", line).strip())
        drawn |= set(itertools.pairwise(names))
    snapshot = ROOT / "ml_assets_tests" / "snapshots" / "definitions.json"
    assets = json.loads(snapshot.read_text())["assets"]
    found = {
        (parent.rpartition("/")[2], name.rpartition("/")[2])
        for name, asset in assets.items()
        for parent in asset["parents"]
        if name.startswith("breast_cancer/")
    }
    stages = {stage for pair in found for stage in pair}
    beside = {pair for pair in found if "replay" in pair}
    assert {pair for pair in drawn if stages.issuperset(pair)} == found - beside
