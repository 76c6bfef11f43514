"""A model's YAML: what is accepted, and the errors of what is not."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

import ml_assets
from ml_assets.spec.model import ModelSpec

MINIMAL: dict[str, Any] = {
    "name": "churn",
    "source": {"type": "csv", "path": "a.csv"},
    "target": "churned",
}
SHIPPED = sorted((Path(ml_assets.__file__).parent / "defs").glob("*/defs.yaml"))


def test_name_source_and_target_are_enough() -> None:
    spec = ModelSpec.model_validate(MINIMAL)
    assert spec.gate.threshold == 0.8
    assert spec.schedule == "0 2 * * 0"


@pytest.mark.parametrize(
    "change, message",
    [
        ({"name": "Churn"}, "should match pattern"),
        ({"tagret": "x"}, "Extra inputs are not permitted"),
        ({"source": {"type": "ftp"}}, "Input should be 'sklearn', 'csv'"),
        ({"source": {"type": "csv"}}, "source type 'csv' needs path"),
        (
            {"source": {"type": "csv", "path": "a", "query": "q"}},
            "source type 'csv' does not take query; it takes parallel, path, read",
        ),
        (
            {"source": {"type": "kaggle", "dataset": "a/b"}},
            "source type 'kaggle' needs file",
        ),
        (
            {"estimator": {"type": "os.system"}},
            "not the import path of a scikit-learn classifier",
        ),
        ({"gate": {"threshold": 1.0}}, "less than 1"),
        ({"gate": {"metric": "luck"}}, "found 'luck'"),
        ({"expect": [{"nonsense": {}}]}, "no such rule"),
        ({"expect": [{}]}, "must be one rule such as"),
        ({"split": {"type": "time"}}, "split type 'time' needs column"),
        ({"split": {"column": "day"}}, "only it takes one"),
        ({"features": {"drop": ["churned"]}}, "features names the target 'churned'"),
        ({"schedule": "every sunday"}, "is not a cron expression"),
        ({"owners": ["me"]}, "must be team:NAME or an e-mail address"),
    ],
)
def test_a_wrong_value_is_refused_by_name(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        ModelSpec.model_validate(MINIMAL | change)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.parent.name)
def test_a_shipped_model_fits_in_sixty_lines_without_python(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 60
    assert [item.name for item in path.parent.iterdir()] == ["defs.yaml"]
    spec = ModelSpec.model_validate(yaml.safe_load(text)["attributes"])
    assert spec.name == path.parent.name
