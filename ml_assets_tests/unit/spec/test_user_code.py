"""What a YAML says of the project's own Python, judged without importing it."""

import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from ml_assets.components.trial import faults
from ml_assets.spec import model_file
from ml_assets.spec.model import ModelSpec
from ml_assets.spec.user_code import classes_of
from ml_assets_tests.kits.user_package import MODEL

TYPE = "ml_assets.components.TabularClassifier"


def problems(tmp_path: Path, **overrides: Any) -> dict[str, tuple[int, str]]:
    """What is wrong with the model, by the key: the line, and why."""
    file = tmp_path / "defs.yaml"
    file.write_text(yaml.safe_dump({"type": TYPE, "attributes": MODEL | overrides}))
    (document,) = model_file.read(file)
    return {
        item.key.removeprefix("attributes."): (item.line, item.message)
        for item in model_file.problems(document)
    }


def test_a_model_of_own_code_is_right_and_imports_nothing(
    user_package: Path, tmp_path: Path
) -> None:
    assert problems(tmp_path) == {}
    assert "my_project" not in sys.modules


CASES = [
    (
        {"features": {"transform": "my_project.features.Ratois"}},
        "features.transform",
        "my_project.features has no class 'Ratois'; did you mean Ratios?",
    ),
    (
        {"features": {"transform": "my_project.feature.Ratios"}},
        "features.transform",
        "there is no module my_project.feature in this environment",
    ),
    (
        {"features": {"transform": "my_project.sources.customers"}},
        "features.transform",
        "my_project.sources.customers is a function, expected a class",
    ),
    (
        {"features": {"transform": "os.system"}},
        "features.transform",
        "'os.system' is in no package that is trusted (trusted: my_project)",
    ),
    (
        {"features": {"transform": "Ratios"}},
        "features.transform",
        "'Ratios' is no import path; expected one such as my_project.features.Ratios",
    ),
    (
        {"estimator": {"type": "builtins.eval"}},
        "estimator.type",
        "'builtins.eval' is not the import path of a scikit-learn classifier",
    ),
    (
        {"estimator": {"type": "my_project.models.Stump", "params": {"sharpnes": 1}}},
        "estimator.params.sharpnes",
        "has no parameter 'sharpnes'; did you mean sharpness?; it has sharpness",
    ),
    (
        {
            "estimator": {
                "type": "sklearn.calibration.CalibratedClassifierCV",
                "params": {"estimator": {"type": "my_project.models.Stumps"}},
            }
        },
        "estimator.params.estimator.type",
        "my_project.models has no class 'Stumps'",
    ),
    (
        {"source": {"type": "python", "function": "my_project.sources.customer"}},
        "source.function",
        "my_project.sources has no function 'customer'; did you mean customers?",
    ),
    ({"source": {"type": "python"}}, "source", "source type 'python' needs function"),
    (
        {"metrics": ["my_project.features.Ratios"]},
        "metrics.0",
        "my_project.features.Ratios is a class, expected a function",
    ),
    (
        {"metrics": ["my_project.metrics.profit", "my_project.metrics.profit"]},
        "metrics.1",
        "'profit' is the name of a metric already",
    ),
    (
        {"gate": {"metric": "my_project.metrics.profits", "above": 100}},
        "gate.metric",
        "expected a function that the key `metrics` has, found"
        " 'my_project.metrics.profits'; did you mean my_project.metrics.profit?",
    ),
    (
        {"gate": {"metric": "my_project.metrics.profit"}},
        "gate.metric",
        "expected one limit of my_project.metrics.profit",
    ),
]


@pytest.mark.parametrize("overrides, key, message", CASES)
def test_a_wrong_path_is_named_with_its_line(
    user_package: Path,
    tmp_path: Path,
    overrides: dict[str, Any],
    key: str,
    message: str,
) -> None:
    found = problems(tmp_path, **overrides)
    assert set(found) == {key}
    line, text = found[key]
    assert line > 1 and message in text


def test_without_trust_every_path_is_refused(
    user_package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ML_ASSETS_TRUSTED", "")
    found = problems(tmp_path)
    assert set(found) == {"estimator.type", "features.transform", "source.function"}
    assert all("(trusted: none)" in message for _, message in found.values())
    assert "my_project" not in sys.modules


def test_names_that_a_module_binds_otherwise_are_found(
    user_package: Path, tmp_path: Path
) -> None:
    (user_package / "more.py").write_text(
        "from my_project.features import Ratios as Renamed\n"
        "try:\n    import absent\nexcept ImportError:\n    class Fallback: pass\n"
        "Other = Renamed\n"
    )
    for name in ("Renamed", "Fallback", "Other"):
        path = f"my_project.more.{name}"
        assert problems(tmp_path, features={"transform": path}) == {}


def test_what_only_importing_shows_is_found_by_the_thorough_check(
    user_package: Path,
) -> None:
    wrong = MODEL | {
        "features": {"transform": "my_project.features.Needy"},
        "metrics": ["my_project.metrics.profit"],
    }
    (found,) = faults(ModelSpec.model_validate(wrong))
    assert found[0] == ("features", "transform") and "'size'" in found[1]
    wrong = MODEL | {"features": {"transform": "my_project.models.Stump"}}
    (found,) = faults(ModelSpec.model_validate(wrong))
    assert "my_project.models.Stump has no transform" in found[1]
    wrong = MODEL | {"estimator": {"type": "my_project.features.Ratios"}}
    (found,) = faults(ModelSpec.model_validate(wrong))
    assert "my_project.features.Ratios is not a scikit-learn classifier" in found[1]


def test_training_knows_the_classes_that_it_imports(user_package: Path) -> None:
    nested = {
        "type": "sklearn.calibration.CalibratedClassifierCV",
        "params": {"estimator": {"type": "my_project.models.Stump"}},
    }
    spec = ModelSpec.model_validate(MODEL | {"estimator": nested})
    assert classes_of(spec) == ["my_project.features.Ratios", "my_project.models.Stump"]
    plain = {"type": "sklearn.linear_model.LogisticRegression"}
    spec = ModelSpec.model_validate(MODEL | {"features": {}, "estimator": plain})
    assert classes_of(spec) == []


@pytest.mark.parametrize("text", ["class Ratios(:\n", "\x00"])
def test_source_that_cannot_be_read_is_named(
    user_package: Path, tmp_path: Path, text: str
) -> None:
    (user_package / "features.py").write_text(text)
    _, message = problems(tmp_path)["features.transform"]
    assert "features.py cannot be read" in message
