"""The messages that troubleshooting names are those that people are shown."""

import ast
import re
from functools import cache

import pytest

from ml_assets_tests.kits.docs import ROOT, read

PAGE = ROOT / "docs" / "troubleshooting.md"
# Of Kubernetes and JSON schema, not of ours; and words that are no messages.
FOREIGN = {
    "ImagePullBackOff",
    "Multi-Attach",
    "FailedMount",
    "None is not of type 'string'",
    "python3.11",
    "make setup",
    "accuracy",
    "derive",
    "Retry-After",
    "FAILED",
}


@cache
def messages() -> list[str]:
    """Texts of the package and of the snapshot's test; ``...`` is filled in."""
    found = []
    snapshot = ROOT / "ml_assets_tests" / "unit" / "test_definitions.py"
    for path in [*ROOT.glob("ml_assets/**/*.py"), snapshot]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                parts = (
                    part.value if isinstance(part, ast.Constant) else "..."
                    for part in node.values
                )
                found.append("".join(map(str, parts)))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(node.value)
    charts = ROOT.glob("helm/*/templates/*.tpl")
    return found + [path.read_text(encoding="utf-8") for path in charts]


def is_in_the_code(message: str) -> bool:
    """Whether the code has it, whatever it fills in for each ``...``."""
    parts = [re.escape(part.strip()) for part in message.split("...") if part.strip()]
    pattern = re.compile(r"\W?.*?\W?".join(parts), re.DOTALL)
    return any(pattern.search(text) for text in messages())


def symptoms() -> list[str]:
    """What stands between backticks in the first column of the tables."""
    rows = (line.split("|")[1] for _, line in read(PAGE).prose if line.startswith("| "))
    found = [span for row in rows for span in re.findall(r"`([^`]+)`", row)]
    return [span for span in found if span not in FOREIGN]


@pytest.mark.parametrize("message", symptoms())
def test_a_symptom_is_a_message_of_the_code(message: str) -> None:
    assert is_in_the_code(message)


def test_a_message_that_is_not_in_the_code_is_noticed() -> None:
    assert is_in_the_code("there is no model ...; the models are: ...")
    assert not is_in_the_code("there is no model ...; the models were: ...")
