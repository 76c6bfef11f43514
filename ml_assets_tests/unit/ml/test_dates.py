"""Dates as features: the same in training, packaged, and for a row alone."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ml_assets.core.trusted import dump_skops, load_skops
from ml_assets.ml.dates import DateFeatures, date_features
from ml_assets.ml.prepare import prepare
from ml_assets.ml.profile import profile
from ml_assets.ml.schema import signature_columns
from ml_assets.ml.sources import SourceError, read_source
from ml_assets.ml.training import train
from ml_assets.records.plan import Signature
from ml_assets.serving.compiler.columns import NotCompiled, read_encoding
from ml_assets.spec.model import ModelSpec
from ml_assets.spec.source import SourceSpec

LOGISTIC = "sklearn.linear_model.LogisticRegression"
BOOSTING = "sklearn.ensemble.HistGradientBoostingClassifier"


def spec(**more: Any) -> ModelSpec:
    given = {"name": "m", "source": {"type": "synthetic"}, "target": "late"}
    return ModelSpec.model_validate({**given, "columns": {"opened": "date"}, **more})


def rows(n: int = 600) -> pd.DataFrame:
    """Accounts that are paid late when they were opened long ago."""
    generator = np.random.default_rng(0)
    days = generator.integers(0, 1_000, n)
    opened = pd.Timestamp("2026-11-28") - pd.to_timedelta(days, unit="D")
    texts = pd.Series(opened.strftime("%Y-%m-%d"))
    return pd.DataFrame(
        {
            "fee": generator.normal(size=n),
            "opened": texts.where(generator.random(n) > 0.05).astype("category"),
            "late": (days > 500).astype(int),
        }
    )


def test_ages_and_parts_of_the_calendar() -> None:
    frame = pd.DataFrame({"opened": ["2026-11-26T18:00:00Z", None, "2026-11-28"]})

    found = DateFeatures(["opened"]).fit(frame).transform(frame)

    assert found.columns.tolist() == date_features(["opened"])
    np.testing.assert_array_equal(
        found.to_numpy(),
        [[1.25, 11, 26, 3, 18], [np.nan] * 5, [0, 11, 28, 5, 0]],
    )


def test_an_age_depends_on_training_alone() -> None:
    fitted = DateFeatures(["opened"]).fit(pd.DataFrame({"opened": ["2026-11-28"]}))
    later = pd.DataFrame({"opened": ["2026-12-01", "soon", None]})

    ages = fitted.transform(later)["opened: age in days"]

    assert ages[0] == -3 and ages[1:].isna().all()


@pytest.mark.parametrize("estimator", [LOGISTIC, BOOSTING])
def test_a_model_learns_from_dates_and_answers_alike_once_packaged(
    estimator: str,
) -> None:
    model = spec(estimator={"type": estimator})
    prepared = prepare(rows(), model.features, "late")
    trained = train(prepared.table, model)

    assert prepared.notes == [] and trained.inputs == ["fee", "opened"]
    scores = trained.task.answers(trained.pipeline, trained.x_test)
    known = trained.x_test["opened"].notna().to_numpy()
    assert ((scores > 0.5) == trained.y_test)[known].mean() > 0.9
    loaded = load_skops(dump_skops(trained.pipeline))
    np.testing.assert_array_equal(trained.task.answers(loaded, trained.x_test), scores)
    alone = [
        trained.task.answers(loaded, trained.x_test.iloc[[row]])[0] for row in range(20)
    ]
    np.testing.assert_allclose(alone, scores[:20], rtol=1e-12)


def test_requests_may_have_any_date_and_the_library_serves() -> None:
    model = spec(estimator={"type": LOGISTIC})
    trained = train(prepare(rows(), model.features, "late").table, model)
    columns = signature_columns(trained.x, trained.inputs, "reject")

    opened = columns[1]
    assert opened.kind == "string" and opened.open and opened.categories is None
    signature = Signature(columns=columns, target="late", negative=0, positive=1)
    with pytest.raises(NotCompiled, match="found DateFeatures, ColumnTransformer"):
        read_encoding(trained.pipeline, signature, [0.0, "2026-11-28"])


def test_derived_columns_may_stand_beside_dates() -> None:
    model = spec(
        estimator={"type": LOGISTIC}, features={"derive": {"twice": "2 * fee"}}
    )

    trained = train(prepare(rows(), model.features, "late").table, model)

    assert trained.inputs == ["fee", "opened"]
    assert [name for name, _ in trained.pipeline.steps][:2] == ["derive", "dates"]


def test_dates_are_features_unless_the_yaml_says_otherwise() -> None:
    given = [spec(columns={}), spec(columns={"opened": "category"})]
    dropped = spec(columns={}, features={"drop": ["opened"]})
    forms = rows().assign(opened=[f"{n % 28 + 1}.11.2026" for n in range(600)])

    found, kept = [prepare(rows(), model.features, "late") for model in given]

    assert found.inputs == kept.inputs == ["fee", "opened"]
    assert "column 'opened' holds dates: their age" in found.notes[0]
    steps = [train(p.table, m).pipeline.steps for p, m in zip((found, kept), given)]
    assert [step[0][0] for step in steps] == ["dates", "encode"]
    assert prepare(rows(), dropped.features, "late").inputs == ["fee"]
    assert prepare(forms, given[0].features, "late").inputs == ["fee"]


def test_dates_are_no_part_of_what_is_watched_for_drift() -> None:
    found = profile(rows(), np.linspace(0, 1, 600))

    assert {*found.numbers, *found.categories} == {"fee", "late"}


@pytest.mark.parametrize("cells", [("20261126", "20261128"), ("2026-11-26", "")])
def test_dates_of_a_csv_are_read_as_texts(
    cells: tuple[str, str], tmp_path: Path
) -> None:
    path = tmp_path / "t.csv"
    path.write_text("opened,late\n" + "".join(f"{cell},1\n" for cell in cells))

    table = read_source(
        SourceSpec(type="csv", path=str(path)), tmp_path, columns={"opened": "date"}
    )

    assert table["opened"].dtype == "category"


def test_what_is_no_iso_date_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("opened,late\n26/11/2026,1\n2026-11-26,0\n")
    source = SourceSpec(type="csv", path=str(path))

    with pytest.raises(SourceError, match="holds '26/11/2026', expected ISO dates"):
        read_source(source, tmp_path, columns={"opened": "date"})
