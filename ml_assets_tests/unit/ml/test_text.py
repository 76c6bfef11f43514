"""Free text as features: left out by default, read where the YAML asks for it."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from ml_assets.core.trusted import dump_skops, load_skops
from ml_assets.ml import text as module
from ml_assets.ml.cleaning import FeatureError
from ml_assets.ml.prepare import prepare
from ml_assets.ml.schema import signature_columns
from ml_assets.ml.text import TextFeatures
from ml_assets.ml.training import Trained, train
from ml_assets.records.plan import Signature
from ml_assets.serving.models.bundle import load_runtime, write_bundle
from ml_assets.spec.model import ModelSpec

LOGISTIC = "sklearn.linear_model.LogisticRegression"
BOOSTING = "sklearn.ensemble.HistGradientBoostingClassifier"
FOREST = "sklearn.ensemble.RandomForestClassifier"


def spec(estimator: str = LOGISTIC, **features: Any) -> ModelSpec:
    given = {"name": "m", "source": {"type": "synthetic"}, "target": "late"}
    return ModelSpec.model_validate(
        {**given, "estimator": {"type": estimator}, "features": features}
    )


def rows(n: int = 600) -> pd.DataFrame:
    """Complaints, each with a number of its own; those of parcels come late."""
    generator = np.random.default_rng(0)
    things = generator.choice(["parcel", "bill", "app"], n)
    said = pd.Series(
        [f"Number {at}: the {name} again!" for at, name in enumerate(things)]
    )
    return pd.DataFrame(
        {
            "fee": generator.normal(size=n),
            "said": said.where(generator.random(n) > 0.05).astype("category"),
            "late": (things == "parcel").astype(int),
        }
    )


def trained_on(frame: pd.DataFrame, model: ModelSpec) -> Trained:
    return train(prepare(frame, model.features, "late").table, model)


def signature_of(trained: Trained) -> Signature:
    columns = signature_columns(trained.x, trained.inputs, "reject", ["said"])
    return Signature(columns=columns, target="late", negative=0, positive=1)


def test_free_text_is_left_out_with_a_sentence_that_names_the_remedy() -> None:
    found = prepare(rows(), spec().features, "late")

    assert found.inputs == ["fee"]
    (note,) = found.notes
    assert "distinct, as those of an id are" in note
    assert "features.text makes features of its words" in note


@pytest.mark.parametrize("encoding", ["tfidf", "hashing"])
@pytest.mark.parametrize("estimator", [LOGISTIC, BOOSTING, FOREST])
def test_a_model_learns_from_words_and_the_library_serves_its_own_answers(
    estimator: str, encoding: str, tmp_path: Path
) -> None:
    model = spec(estimator, text={"said": encoding}, text_features=64)
    trained = trained_on(rows(), model)
    asked = trained.x_test
    expected = trained.task.answers(trained.pipeline, asked)

    manifest = write_bundle(
        tmp_path, trained.pipeline, signature_of(trained), asked.head(50)
    )
    runtime = load_runtime(tmp_path, manifest.files)
    texts = [None if pd.isna(text) else text for text in asked["said"]]
    answers = runtime.predict_many([asked["fee"].tolist(), texts])

    known = asked["said"].notna().to_numpy()
    assert ((expected > 0.5) == trained.y_test)[known].mean() > 0.9
    assert (manifest.runtime, "TextFeatures" in manifest.reason) == ("sklearn", True)
    np.testing.assert_array_equal(answers, expected)
    assert any("'said' is read as text" in note for note in trained.notes)


@pytest.mark.parametrize("encoding", ["tfidf", "hashing"])
def test_a_missing_text_has_no_words_and_an_unknown_one_is_no_error(
    encoding: Any,
) -> None:
    fitted = TextFeatures(encoding, 32).fit(rows()[["said"]])

    found = fitted.transform(pd.DataFrame({"said": [None, np.nan, "", "parcel"]}))

    assert found.shape[1] <= 32
    assert [bool(row.nnz) for row in found] == [False, False, False, True]


@pytest.mark.parametrize("encoding", ["tfidf", "hashing"])
def test_the_same_words_in_whatever_order_the_rows_come(encoding: Any) -> None:
    frame = rows()[["said"]]
    shuffled = frame.sample(frac=1, random_state=0)

    first, second = (TextFeatures(encoding, 16).fit(item) for item in (frame, shuffled))

    assert [*first.get_feature_names_out()] == [*second.get_feature_names_out()]
    found = first.transform(frame)
    assert (found != second.transform(frame)).nnz == 0
    packed = load_skops(dump_skops(first))
    assert (found != packed.transform(frame)).nnz == 0


def test_numbers_are_read_as_texts_where_the_yaml_asks_for_it() -> None:
    frame = rows().assign(said=np.arange(600) % 7 + 10)

    found = prepare(frame, spec(text={"said": "tfidf"}).features, "late")
    fitted = TextFeatures("tfidf").fit(found.table[["said"]])

    assert [*fitted.get_feature_names_out()][:2] == ["said: 10", "said: 11"]


def test_a_request_may_hold_any_text_and_none_of_them_is_unseen() -> None:
    trained = trained_on(rows(), spec(text={"said": "tfidf"}))

    column = signature_of(trained).columns[1]

    assert (column.kind, column.nullable, column.open) == ("string", True, True)
    assert column.categories is None


def test_a_column_without_words_is_refused_by_its_name() -> None:
    with pytest.raises(FeatureError, match="'said' has no word in 2 rows"):
        TextFeatures("tfidf").fit(pd.DataFrame({"said": ["!", None]}))


@pytest.mark.parametrize(
    "estimator, encoding, refused",
    [(LOGISTIC, "auto", False), (LOGISTIC, "ordinal", True), (BOOSTING, "auto", True)],
)
def test_texts_make_no_wide_table_of_dense_numbers(
    monkeypatch: pytest.MonkeyPatch, estimator: str, encoding: str, refused: bool
) -> None:
    monkeypatch.setattr(module, "MAX_DENSE", 16)
    model = spec(estimator, text={"said": "tfidf"}, text_features=32, encoding=encoding)
    if not refused:
        assert trained_on(rows(), model).inputs == ["fee", "said"]
        return
    with pytest.raises(
        FeatureError, match="32 columns of 1 texts, expected at most 16"
    ):
        trained_on(rows(), model)


def test_a_text_that_the_data_does_not_have_is_refused() -> None:
    model = spec(text={"sayd": "tfidf"})

    with pytest.raises(
        FeatureError, match="features.text names 'sayd', which the data"
    ):
        prepare(rows(), model.features, "late")


def test_a_text_is_of_one_kind() -> None:
    with pytest.raises(ValidationError, match="'said' stands under categorical, too"):
        spec(text={"said": "tfidf"}, categorical=["said"])
