"""The second model of the demonstration: its YAML, and customers that come and go."""

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ml_assets.ml.synthetic import synthetic

if TYPE_CHECKING:
    import pandas as pd

MODEL = "churn"
TARGET = "churned"
PATH = "customers.parquet"
ROWS = 5_000
# Points that are added to the answers of customers who are asked in other words.
SHIFT = 4.0

_YAML = """\
type: ml_assets.components.TabularClassifier
attributes:
  name: churn
  source: {{type: parquet, path: "${{ML_ASSETS_HOME}}/customers.parquet"}}
  target: churned
  positive: "yes"
  expect:
    - expect_column_values_to_be_in_set: {{column: churned, value_set: ["yes", "no"]}}
  gate: {{metric: accuracy, threshold: 0.7}}
  estimator: {estimator}
  serving: {serving}
"""


class Text(NamedTuple):
    """What is changed in the YAML in the course of the demonstration."""

    estimator: str
    serving: str

    def __str__(self) -> str:
        return _YAML.format(estimator=self.estimator, serving=self.serving)

    def changes(self, before: "Text") -> list[str]:
        """The lines that were other before."""
        pairs = zip(str(self).splitlines(), str(before).splitlines(), strict=True)
        return [new.strip() for new, old in pairs if new != old]


SMALL_TREE = Text(
    "{type: sklearn.tree.DecisionTreeClassifier, params: {max_depth: 2}}",
    "{strategy: shadow}",
)
BOOSTING = SMALL_TREE._replace(
    estimator="{type: sklearn.ensemble.HistGradientBoostingClassifier,"
    " params: {max_iter: 30, max_leaf_nodes: 8}}"
)
# More accurate, but slow: scikit-learn itself answers, for what it starts from is no
# constant, and so it is not compiled.
SLOW_BOOSTING = Text(
    "{type: sklearn.ensemble.GradientBoostingClassifier, params: {n_estimators: 150,"
    " subsample: 0.7, init: {type: sklearn.linear_model.LogisticRegression}}}",
    "{strategy: canary, steps: [0.2, 0.5], slow_ms: 3}",
)


def customers(rows: int, seed: int, shifted: bool = False) -> "pd.DataFrame":
    """Customers and whether they left; `shifted` ones are asked in other words.

    What makes them leave stays the same, so that a version that learnt from the old
    answers takes the new ones for happier than they are.
    """
    frame = synthetic(rows=rows, seed=seed)
    if shifted:
        frame["satisfaction"] += SHIFT
    return frame


def write_customers(directory: Path, seed: int, shifted: bool = False) -> None:
    """Write a table of customers to the file that the YAML names."""
    customers(ROWS, seed, shifted).to_parquet(directory / PATH, index=False)
