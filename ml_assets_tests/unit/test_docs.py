"""The documents say what the code says."""

from pathlib import Path
from typing import get_args

import pytest

from ml_assets import model

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
