"""The schema of the chart's values: what is refused, and that nothing slips through."""

import json
from collections.abc import Iterator
from typing import Any

import helm_python
import pytest
import yaml

from ml_assets.spec.model import ModelSpec
from ml_assets_tests.kits.chart import CHART, ROOT, render

SCHEMA = json.loads((CHART / "values.schema.json").read_text())


@pytest.mark.parametrize(
    "values, message",
    [
        ({"replicas": 2}, "at '': additional properties 'replicas' not allowed"),
        (
            {"modelServer": {"replica": 2}},
            "at '/modelServer': additional properties 'replica' not allowed",
        ),
        (
            {"modelServer": {"replicas": "2"}},
            "at '/modelServer/replicas': got string, want integer",
        ),
        ({"modelServer": {"replicas": 0}}, "at '/modelServer/replicas': minimum"),
        (
            {"modelServer": {"resources": {"limits": {"cpus": "1"}}}},
            "at '/modelServer/resources/limits': additional properties 'cpus'",
        ),
        (
            {"modelServer": {"resources": {"limits": {"memory": "1 GB"}}}},
            "at '/modelServer/resources/limits/memory': '1 GB' does not match",
        ),
        (
            {"models": {"census_income": {"drain": {"seconds": 1}}}},
            "at '/models/census_income/drain': additional properties 'seconds'",
        ),
        ({"models": {"Census": {}}}, "additional properties 'Census' not allowed"),
        ({"images": {"server": {"tag": "latest"}}}, "at '/images/server/tag': 'not'"),
        (
            {"images": {"server": {"digest": "sha256:1"}}},
            "at '/images/server/digest': 'sha256:1' does not match",
        ),
        ({"user": 0}, "at '/user': minimum"),
        ({"ingress": {"enabled": True}}, "at '/ingress/host': minLength"),
        ({"mlflow": {"existingSecret": ""}}, "at '/mlflow/existingSecret'"),
        (
            {"mlflow": {"password": "x"}},
            "at '/mlflow': additional properties 'password'",
        ),
        (
            {"networkPolicy": {"metricsFrom": [{"podselector": {}}]}},
            "at '/networkPolicy/metricsFrom/0': additional properties 'podselector'",
        ),
        ({"networkPolicy": {"metricsFrom": [{}]}}, "metricsFrom/0': minProperties"),
        (
            {"modelServer": {"podAnnotations": {"ml-assets.dev/generation": "7"}}},
            "invalid propertyName 'ml-assets.dev/generation'",
        ),
        (
            {"models": {"churn": {"podAnnotations": {"ml-assets.dev/release": "7"}}}},
            "invalid propertyName 'ml-assets.dev/release'",
        ),
    ],
)
def test_a_wrong_value_is_refused_with_its_path(
    values: dict[str, Any], message: str
) -> None:
    with pytest.raises(helm_python.HelmValuesError) as error:
        render(values)
    assert message in str(error.value)


def test_no_object_of_the_schema_takes_an_unknown_key() -> None:
    open_objects = [path for path, node in _objects(SCHEMA) if not _is_closed(node)]
    assert open_objects == []


def test_every_default_value_is_in_the_schema_and_the_other_way_round() -> None:
    defaults = yaml.safe_load((CHART / "values.yaml").read_text())
    assert sorted(defaults) == sorted(SCHEMA["properties"])


def test_every_name_that_a_model_may_have_makes_a_name_of_kubernetes() -> None:
    name = "m" * 31
    objects = render({"models": {f"{name}9": {}}})
    for item in objects:
        assert len(item["metadata"]["name"]) <= 63


def test_the_shipped_models_are_the_ones_that_are_served() -> None:
    folders = (ROOT / "ml_assets" / "defs").glob("*/defs.yaml")
    names = sorted(
        ModelSpec.model_validate(yaml.safe_load(path.read_text())["attributes"]).name
        for path in folders
    )
    defaults = yaml.safe_load((CHART / "values.yaml").read_text())
    assert sorted(defaults["models"]) == names


def _objects(node: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(node, dict):
        if node.get("type") == "object":
            yield path, node
        for key, value in node.items():
            yield from _objects(value, f"{path}/{key}")


def _is_closed(node: dict[str, Any]) -> bool:
    """Closed, or a map from any name to a string, as labels are."""
    rest = node.get("additionalProperties")
    return rest is False or (rest == {"type": "string"} and "properties" not in node)
