"""What there is: models, their versions, and the gate's verdict on each."""

import json
from pathlib import Path

import pytest

from ml_assets.cli.context import spec_of
from ml_assets.cli.output import Failed
from ml_assets.spec import model_file
from ml_assets.spec.catalogue import CatalogueError, read_specs
from ml_assets.state.versions import Versions
from ml_assets_tests.kits.cli import evaluated, in_service, invoke

FIRST, SECOND = "20261101T020000Z", "20261108T020000Z"


@pytest.fixture
def two_versions(home: Path) -> Path:
    evaluated(home, "breast_cancer", FIRST, 0.95, passed=True)
    evaluated(home, "breast_cancer", SECOND, 0.79, passed=False)
    in_service(home, "breast_cancer", FIRST)
    return home


def test_models_without_a_version_are_listed_with_source_and_schedule() -> None:
    result = invoke("models", "--json")
    found = {item["model"]: item for item in json.loads(result.stdout)["models"]}
    assert set(found) == {"breast_cancer", "census_income", "telco_churn"}
    assert found["breast_cancer"]["source"] == "sklearn breast_cancer"
    assert found["breast_cancer"]["schedule"] == "0 2 * * 0"
    assert found["breast_cancer"]["champion"] is None
    assert found["breast_cancer"]["last"] is None


def test_a_model_shows_what_serves_it_and_its_last_evaluation(
    two_versions: Path,
) -> None:
    document = json.loads(invoke("models", "--json").stdout)
    model = next(m for m in document["models"] if m["model"] == "breast_cancer")
    assert (model["champion"], model["generation"]) == (FIRST, 1)
    assert (model["metric"], model["value"], model["versions"]) == ("accuracy", 0.95, 2)
    assert model["last"]["version"] == SECOND
    assert model["last"]["passed"] is False


def test_the_table_of_models_says_why_the_last_version_was_refused(
    two_versions: Path,
) -> None:
    result = invoke("models")
    assert "refused accuracy 0.7900" in result.stdout
    assert "accuracy 0.7900 is not above 0.8" in result.stderr


def test_a_version_shows_the_metric_of_its_gate(home: Path) -> None:
    evaluated(home, "fees", FIRST, 0.9, passed=True)
    found = Versions().evaluation("fees", FIRST) or {}
    found["gate"]["metric"] = "mae"
    Versions().save_evaluation("fees", FIRST, {**found, "metrics": {"mae": 44.12}})
    assert "passed mae 44.1200" in invoke("models").stdout
    assert "mae 44.1200" in invoke("versions", "fees").stdout
    (row,) = json.loads(invoke("versions", "fees", "--json").stdout)["versions"]
    assert (row["metric"], row["value"]) == ("mae", 44.12)


def test_a_model_that_is_served_without_a_yaml_is_listed(home: Path) -> None:
    evaluated(home, "forgotten", FIRST, 0.9, passed=True)
    assert "no YAML" in invoke("models").stdout


def test_versions_are_listed_newest_first_with_the_verdict(two_versions: Path) -> None:
    rows = json.loads(invoke("versions", "breast_cancer", "--json").stdout)["versions"]
    assert [row["version"] for row in rows] == [SECOND, FIRST]
    assert [row["gate"]["passed"] for row in rows] == [False, True]
    assert [row["in_service"] for row in rows] == [False, True]
    assert rows[0]["created"] == "2026-11-08T02:00:00+00:00"
    assert rows[0]["metrics"] == {"accuracy": 0.79, "roc_auc": 0.9}


def test_the_table_of_versions_gives_the_reason(two_versions: Path) -> None:
    lines = invoke("versions", "breast_cancer").stdout.splitlines()
    assert "refused" in lines[1]
    assert "is not above 0.8" in lines[1]
    assert "in service" in lines[2]


def test_the_table_of_versions_distinguishes_a_challenger_from_the_champion(
    two_versions: Path,
) -> None:
    in_service(two_versions, "breast_cancer", FIRST, shadow=SECOND)
    challenger, champion = invoke("versions", "breast_cancer").stdout.splitlines()[1:]
    assert "shadow" in challenger and "in service" not in challenger
    assert "in service" in champion


def test_only_the_newest_versions_are_listed_on_request(two_versions: Path) -> None:
    result = invoke("versions", "breast_cancer", "--limit", "1", "--json")
    assert len(json.loads(result.stdout)["versions"]) == 1


def test_a_model_without_versions_says_how_to_train_one() -> None:
    result = invoke("versions", "telco_churn")
    assert result.exit_code == 0
    assert "ml-assets train telco_churn" in result.stderr


def test_versions_of_an_unknown_model_fail_and_list_the_models() -> None:
    result = invoke("versions", "brest_cancer")
    assert result.exit_code == 1
    assert "breast_cancer, census_income, telco_churn" in result.stderr


def test_a_yaml_is_found_by_the_name_in_it() -> None:
    assert spec_of("breast_cancer").target == "target"
    with pytest.raises(Failed, match="there is no model income; the models are"):
        spec_of("income")


@pytest.mark.parametrize(
    "text, message",
    [
        ("type: [", ": is no YAML"),
        ("attributes: {name: a}", "attributes.source: is missing"),
        ("attributes: {name: A}", "attributes.name: String should match"),
        ("attributes: {nmae: a}", "attributes.nmae: there is no such key"),
    ],
)
def test_a_wrong_yaml_is_refused_with_its_file(
    tmp_path: Path, text: str, message: str
) -> None:
    file = tmp_path / "defs.yaml"
    kind = "" if text.startswith("type") else f"type: {[*model_file.TYPES][0]}\n"
    file.write_text(kind + text)
    with pytest.raises(CatalogueError) as caught:
        read_specs(file)
    assert message in str(caught.value)
    assert str(file) in str(caught.value)


def test_other_components_in_a_yaml_are_no_models(tmp_path: Path) -> None:
    file = tmp_path / "defs.yaml"
    file.write_text("type: dagster.PythonScriptComponent\nattributes: {}\n---\n")
    assert read_specs(file) == []
