"""What is wrong in a YAML is refused at its line, before anything runs."""

import re
from pathlib import Path

import pytest

from ml_assets.spec import model_file
from ml_assets.spec.model_file import ModelFileError

GOOD = """\
type: ml_assets.components.TabularClassifier
attributes:
  name: broken
  source: {type: sklearn, dataset: breast_cancer}
  target: target
"""

# Lines below `attributes`, and the message on the last key that is named.
WRONG: dict[str, tuple[str, str, str]] = {
    "a cron hour": ('schedule: "0 25 * * *"', "schedule", "hour 0-23"),
    "a cron sentence": ("schedule: every day", "schedule", "five fields"),
    "a cron day that never comes": ('schedule: "0 2 31 6 *"', "schedule", "never"),
    "another library": (
        "estimator: {type: torch.nn.Module}",
        "estimator.type",
        "scikit-learn classifier, nor one of lightgbm.LGBMClassifier",
    ),
    "a ranker of a boosting library": (
        "estimator: {type: lightgbm.LGBMRanker}",
        "estimator.type",
        "is in no package that is trusted",
    ),
    "a regressor of a boosting library": (
        "estimator: {type: xgboost.XGBRegressor}",
        "estimator.type",
        "is not the import path of a scikit-learn classifier",
    ),
    "a parameter of CatBoost": (
        "estimator:\n    type: catboost.CatBoostClassifier\n    params:\n      deep: 6",
        "estimator.params.deep",
        "has no parameter 'deep'; did you mean depth?",
    ),
    "a parameter of a booster in an ensemble": (
        "estimator:\n    type: sklearn.ensemble.BaggingClassifier\n    params:\n"
        "      estimator:\n        type: catboost.CatBoostClassifier\n"
        "        params:\n          deep: 6",
        "estimator.params.estimator.params.deep",
        "has no parameter 'deep'; did you mean depth?",
    ),
    "a class that is not there": (
        "estimator: {type: sklearn.ensemble.RandomForrestClassifier}",
        "estimator.type",
        "scikit-learn classifier",
    ),
    "a regressor": (
        "estimator: {type: sklearn.linear_model.LinearRegression}",
        "estimator.type",
        "scikit-learn classifier",
    ),
    "a parameter": (
        "estimator:\n    type: sklearn.svm.SVC\n    params:\n      kernal: rbf",
        "estimator.params.kernal",
        "did you mean kernel",
    ),
    "a class inside an estimator": (
        "estimator:\n    type: sklearn.calibration.CalibratedClassifierCV\n"
        "    params:\n      estimator: {type: sklearn.svm.LinearSVM}",
        "estimator.params.estimator.type",
        "not the import path",
    ),
    "a parameter inside an estimator": (
        "estimator:\n    type: sklearn.ensemble.VotingClassifier\n    params:\n"
        "      estimators:\n        - [a, {type: sklearn.svm.SVC, params: {c: 1}}]",
        "estimator.params.estimators.0.1.params.c",
        "has no parameter 'c'",
    ),
    "a searched parameter": (
        "search: {params: {depth: [1, 2]}}",
        "search.params.depth",
        "it has loss",
    ),
    "a search of nothing": (
        "search: {params: {max_iter: []}}",
        "search.params.max_iter",
        "no value",
    ),
    "a scorer": (
        "search: {params: {max_iter: [1]}, metric: auc}",
        "search.metric",
        "roc_auc",
    ),
    "a kind of column that there is not": (
        "columns: {zip: txt}",
        "columns.zip",
        "Input should be 'number', 'category', 'text', 'date' or 'boolean'",
    ),
    "a column of two kinds in two keys": (
        "columns: {zip: text}\n  features: {numeric: [zip]}",
        "columns.zip",
        "'zip' is text here, but stands under features.numeric",
    ),
    "a kind of a dropped column": (
        "columns: {zip: text}\n  features: {drop: [zip]}",
        "columns.zip",
        "'zip' is dropped (features.drop), so it has no kind",
    ),
    "a kind of a group": (
        "columns: {home: number}\n  split: {group: home}",
        "columns.home",
        "divides the rows (split.group), so it is no input: found 'number', expected"
        " text, date or nothing",
    ),
    "an encoding of text that there is not": (
        "features: {text: {said: bm25}}",
        "features.text.said",
        "Input should be 'tfidf' or 'hashing', found 'bm25'",
    ),
    "a text that is a number, too": (
        "features:\n    numeric: [said]\n    text:\n      said: tfidf",
        "features.text.said",
        "'said' stands under numeric, too; it can be one only",
    ),
    "a text that is dropped": (
        "features:\n    drop: [said]\n    text:\n      said: tfidf",
        "features.text.said",
        "'said' is dropped",
    ),
    "texts of too many numbers": (
        "features: {text_features: 50000}",
        "features.text_features",
        "20000",
    ),
    "a text of another kind": (
        "columns: {said: category}\n  features: {text: {said: tfidf}}",
        "columns.said",
        "'said' is category here, but stands under features.text",
    ),
    "a kind of the target": (
        "columns: {target: category}",
        "columns.target",
        "'target' is the target",
    ),
    "a kind of a derived column": (
        'columns: {net: number}\n  features: {derive: {net: "a - b"}}',
        "columns.net",
        "'net' is derived",
    ),
    "a test share of all rows": (
        "split: {test_size: 1.0}",
        "split.test_size",
        "less than 1",
    ),
    "a type of split that there is not": (
        "split: {type: random}",
        "split.type",
        "Input should be 'stratified'",
    ),
    "a key of a split twice": (
        "split: {key: [home, home]}",
        "split.key.1",
        "'home' is named twice",
    ),
    "a split by the target": (
        "split: {group: target}",
        "split.group",
        "the target 'target' cannot make the groups",
    ),
    "an unknown key of a split": ("split: {fold: 4}", "split.fold", "no such key"),
    "rolling origins of rows without an order": (
        "split: {folds: 4}",
        "split.folds",
        "only split types time and order take folds, found type 'stratified'",
    ),
    "one rolling origin": (
        "split: {type: order, folds: 1}",
        "split.folds",
        "greater than or equal to 2, found 1",
    ),
    "a choice of unseen categories that there is not": (
        "serving: {unknown_category: ignore}",
        "serving.unknown_category",
        "Input should be 'auto', 'reject' or 'accept'",
    ),
    "a column that the contract ignores twice": (
        "contract: {ignore: [a, a]}",
        "contract.ignore.1",
        "'a' is named twice",
    ),
    "a group of another split": (
        "split: {type: order, group: home}",
        "split.group",
        "only split type 'stratified' takes group, found type 'order'",
    ),
    "a group that is an input": (
        "split: {group: home}\n  features: {numeric: [home]}",
        "features.numeric",
        "'home' is the column of split.group, which is no input",
    ),
    "no test row": (
        "split: {minimum: {rows: 0}}",
        "split.minimum.rows",
        "greater than or equal to 1",
    ),
    "a time split without a column": ("split: {type: time}", "split", "needs column"),
    "an expectation": (
        "expect:\n    - expect_column_value_to_not_be_null: {column: a}",
        "expect.0.expect_column_value_to_not_be_null",
        "did you mean expect_column_values_to_not_be_null",
    ),
    "a keyword of an expectation": (
        "expect:\n    - expect_column_values_to_not_be_null: {colunm: a}",
        "expect.0.expect_column_values_to_not_be_null.colunm",
        "did you mean column",
    ),
    "an expectation without its column": (
        "expect:\n    - expect_column_values_to_be_unique: {}",
        "expect.0.expect_column_values_to_be_unique",
        "needs column",
    ),
    "bounds the wrong way round": (
        "expect:\n    - expect_column_values_to_be_between:"
        " {column: a, min_value: 2, max_value: 1}",
        "expect.0.expect_column_values_to_be_between.min_value",
        "above max_value",
    ),
    "an expectation for databases": (
        "expect:\n    - expect_column_values_to_match_like_pattern:"
        " {column: a, like_pattern: b}",
        "expect.0.expect_column_values_to_match_like_pattern",
        "SQL database",
    ),
    "an expression": (
        'features: {derive: {ratio: "foo("}}',
        "features.derive.ratio",
        "not a valid expression",
    ),
    "an unknown function": (
        'features: {derive: {ratio: "exec(a)"}}',
        "features.derive.ratio",
        "unknown",
    ),
    "a derived column that reads the target": (
        'features: {derive: {ratio: "target * 2"}}',
        "features.derive.ratio",
        "reads the target",
    ),
    "a column twice": (
        "features: {drop: [a, a]}",
        "features.drop.1",
        "named twice",
    ),
    "a column of two kinds": (
        "features: {numeric: [a], categorical: [a]}",
        "features.categorical.0",
        "numeric, too",
    ),
    "a data set": (
        "source: {type: sklearn, dataset: titanic}",
        "source.dataset",
        "breast_cancer",
    ),
    "an address": ("source: {type: http, url: ftp://a/b}", "source.url", "https://"),
    "a table for a query": (
        "source: {type: sql, url: 'sqlite:///a', query: customers}",
        "source.query",
        "SELECT",
    ),
    "an encoding": (
        "source: {type: csv, path: a.csv, read: {encoding: utf-9}}",
        "source.read.encoding",
        "no encoding",
    ),
    "no number": ("gate: {threshold: .nan}", "gate.threshold", "finite"),
    "an endless window": (
        "monitoring: {window_hours: .inf}",
        "monitoring.window_hours",
        "finite",
    ),
    "a label": (
        "resources: {node_selector: {a b: c}}",
        "resources.node_selector.a b",
        "label",
    ),
    "less than the least": (
        "serving: {replicas: {min: 3, max: 2}}",
        "serving.replicas",
        "max is 2, which is less than min, 3",
    ),
    "a server that gets more than it may": (
        "serving: {resources: {requests: {memory: 2Gi}, limits: {memory: 1Gi}}}",
        "serving.resources",
        "requests.memory is 2Gi, which is more than limits.memory, 1Gi",
    ),
    "a size of servers that are not the model's own": (
        "serving: {pool: shared, replicas: {min: 3}}",
        "serving.replicas",
        "is of servers of the model's own, and pool is shared",
    ),
    "a design without an experiment": (
        "serving: {design: {labels: 5000}}",
        "serving.design",
        "the strategy must be shadow, split or canary",
    ),
    "a design of few labels": (
        "serving:\n    strategy: shadow\n    design:\n      labels: 20",
        "serving.design.labels",
        "100",
    ),
    "a design of an unknown key": (
        "serving: {strategy: shadow, design: {labels: 500, looks: 3}}",
        "serving.design.looks",
        "no such key",
    ),
    "groups of the target": ("gate: {slices: {target: 0.5}}", "gate.slices", "target"),
    "an unknown key": ("tresholds: 1", "tresholds", "no such key"),
    "a broken template": (
        'description: "{{ env.A "',
        "description",
        "cannot be read",
    ),
}


def written(folder: Path, lines: str) -> Path:
    key = lines.partition(":")[0]
    kept = [line for line in GOOD.splitlines() if not line.startswith(f"  {key}:")]
    file = folder / "defs.yaml"
    file.write_text("\n".join([*kept, f"  {lines}", ""]))
    return file


@pytest.mark.parametrize("lines, key, message", WRONG.values(), ids=WRONG)
def test_a_wrong_meaning_is_refused_at_its_line(
    tmp_path: Path, lines: str, key: str, message: str
) -> None:
    file = written(tmp_path, lines)
    (document,) = model_file.read(file)
    problems = model_file.problems(document)
    (found,) = [p for p in problems if p.key == f"attributes.{key}"]
    assert message in found.message
    names = [part for part in key.split(".") if not part.isdecimal()]
    assert names[-1] in file.read_text().splitlines()[found.line - 1]
    assert str(found).startswith(f"{file}:{found.line}:")


@pytest.mark.parametrize(
    "text, line, message",
    {
        "twice at the top": (GOOD + "attributes: {}\n", 6, "first in line 2"),
        "twice in the model": (GOOD + "  target: other\n", 6, "first in line 5"),
        "twice in a flow": (
            GOOD + "  gate: {threshold: 0.9, threshold: 0.1}\n",
            6,
            "gate.threshold",
        ),
        "twice in a list": (
            GOOD + "  expect:\n  - a: {b: 1,\n       b: 2}\n",
            8,
            "expect.0.a.b",
        ),
        "twice, one in quotes": (GOOD + '  "target": other\n', 6, "first in line 5"),
        "an open bracket": (GOOD + "  owners: [a\n", 7, "is no YAML"),
        "a tab": (GOOD + "\tschedule: null\n", 6, "is no YAML"),
        "a colon in a value": (GOOD + "  description: a: b\n", 6, "is no YAML"),
        "an unknown alias": (GOOD + "  description: *a\n", 6, "is no YAML"),
        "a list for a key": (GOOD + "  ? [a]\n  : b\n", 6, "unhashable key"),
        "a null character": (GOOD + "  description: \0\n", 1, "cannot be read"),
    }.values(),
)
def test_what_is_no_yaml_or_says_a_key_twice_is_refused(
    tmp_path: Path, text: str, line: int, message: str
) -> None:
    file = tmp_path / "defs.yaml"
    file.write_text(text)
    with pytest.raises(ModelFileError) as refused:
        model_file.read(file)
    assert refused.value.problems[0].line == line
    assert message in str(refused.value)


def test_the_key_of_a_merge_may_stand_twice(tmp_path: Path) -> None:
    file = tmp_path / "defs.yaml"
    file.write_text("a: &a {x: 1}\nb: &b {y: 2}\nc: {<<: *a, <<: *b}\n")
    (document,) = model_file.read(file)
    assert document.content["c"]["y"] == 2


def test_only_files_that_dagster_reads_are_looked_at(tmp_path: Path) -> None:
    for folder in ("a", "b", "a/below", ".git", "__pycache__", "c/d"):
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
    for name in ("a/defs.yaml", "a/below/defs.yaml", ".git/defs.yaml"):
        (tmp_path / name).write_text(GOOD)
    for name in ("__pycache__/defs.yaml", "c/d/component.yaml", "b/defs.yml"):
        (tmp_path / name).write_text(GOOD)
    found = [str(f.relative_to(tmp_path)) for f in model_file.files(tmp_path)]
    assert found == ["a/defs.yaml", "b/defs.yml", "c/d/component.yaml"]


def test_the_table_of_wrong_files_covers_every_part_of_the_yaml() -> None:
    top = {re.split(r"[.:]", key)[0] for _, key, _ in WRONG.values()}
    assert {
        "source", "expect", "features", "estimator", "search", "split", "gate",
        "monitoring", "resources", "schedule",
    } <= top  # fmt: skip
