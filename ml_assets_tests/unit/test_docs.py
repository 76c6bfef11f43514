"""The documents say what the code says."""

import re
from pathlib import Path
from typing import get_args

import pytest

from ml_assets import model
from ml_assets.release import environments
from ml_assets.release.checks import SENTENCES

ROOT = Path(__file__).parents[2]
PARTS = [
    part
    for part in vars(model).values()
    if isinstance(part, type) and issubclass(part, model.Part) and part.model_fields
]


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.__name__)
def test_every_key_of_the_yaml_is_documented(part: type[model.Part]) -> None:
    text = (ROOT / "docs" / "models.md").read_text(encoding="utf-8")
    assert [name for name in part.model_fields if f"{name}" not in text] == []


def test_every_source_is_documented() -> None:
    text = (ROOT / "docs" / "models.md").read_text(encoding="utf-8")
    assert [
        name for name in get_args(model.SourceType) if f"`{name}`" not in text
    ] == []


def test_every_variable_and_check_of_delivery_is_documented() -> None:
    text = (ROOT / "docs" / "delivery.md").read_text(encoding="utf-8")
    code = Path(environments.__file__).read_text(encoding="utf-8")
    variables = {*re.findall(r"\b(?:K8S|ML_ASSETS)_[A-Z0-9_]*[A-Z0-9]\b", code)}
    assert [name for name in variables if f"`{name}`" not in text] == []
    assert [name for name in SENTENCES if f"| `{name}` |" not in text] == []
