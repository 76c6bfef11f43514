"""An upgrade with the values of the last release, as the upgrade notes have it."""

from pathlib import Path
from typing import Any

import helm_python
import pytest
import yaml

from ml_assets_tests.kits.chart import CHART, Object, label, merge, pick, render

VALUES = yaml.safe_load(
    (Path(__file__).parent / "data" / "values-0.1.0.yaml").read_text()
)
_GUIDE = (CHART / "README.md").read_text()
# In one line, as a sentence may be broken anywhere.
NOTES = " ".join(_GUIDE.split("### From 0.1.0")[1].split("\n## ")[0].split())
SELECTORS = {
    "ml-assets-mlflow": {"app.kubernetes.io/component": "mlflow"},
    "ml-assets-breast-cancer": {
        "app.kubernetes.io/component": "model-server",
        "ml-assets.dev/model": "breast_cancer",
    },
}


def upgraded(**storage: Any) -> list[Object]:
    """Rendered as the notes say: with these values of `storage` only."""
    values = {key: value for key, value in VALUES.items() if key != "storage"}
    return render(merge(values, {"storage": {"url": "", **storage}}))


def test_values_of_the_claim_are_refused_with_what_the_notes_quote() -> None:
    with pytest.raises(helm_python.HelmValuesError) as error:
        render(VALUES)
    (line,) = [line for line in str(error.value).splitlines() if line.startswith("- ")]
    where, found, end = line.removeprefix("- ").partition("properties ")
    names, allowed, rest = end.partition(" not allowed")
    # Helm names them in any order.
    ordered = ", ".join(sorted(names.split(", ")))
    assert where + found + ordered + allowed + rest in NOTES


def test_without_a_bucket_the_upgrade_ends_with_what_the_notes_quote() -> None:
    with pytest.raises(helm_python.HelmError) as error:
        upgraded()
    sentence = "storage.url is empty: name a bucket such as s3://BUCKET/PREFIX"
    assert sentence in str(error.value) and sentence in NOTES


def test_with_a_bucket_every_other_value_of_the_last_release_works_on() -> None:
    objects = upgraded(url="s3://models/production")
    scaling = pick(objects, "HorizontalPodAutoscaler", "ml-assets-telco-churn")["spec"]
    assert (scaling["minReplicas"], scaling["maxReplicas"]) == (5, 12)
    (rule,) = pick(objects, "Ingress", "ml-assets")["spec"]["rules"]
    assert rule["host"] == "models.example.com"
    (claim,) = [item for item in objects if item["kind"] == "PersistentVolumeClaim"]
    assert label(claim) == "PersistentVolumeClaim/ml-assets-mlflow"


@pytest.mark.parametrize("name", SELECTORS)
def test_what_kubernetes_never_changes_is_as_the_last_release_made_it(
    name: str,
) -> None:
    spec = pick(upgraded(url="s3://models/production"), "Deployment", name)["spec"]
    assert spec["selector"]["matchLabels"] == {
        "app.kubernetes.io/name": "ml-assets",
        "app.kubernetes.io/instance": "ml-assets",
        **SELECTORS[name],
    }


def test_a_repository_of_its_own_is_asked_for_the_tag_that_the_notes_name() -> None:
    objects = upgraded(url="s3://models/production")
    servers = pick(objects, "Deployment", "ml-assets-breast-cancer")["spec"]
    (container,) = servers["template"]["spec"]["containers"]
    assert (
        container["image"] == "registry.example.com/ml-assets-server:v0.1.0-production"
    )
    assert "v<version>-production" in NOTES
