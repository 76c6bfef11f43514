"""``ml_assets.components.TabularRegressor``: a model that predicts a number."""

from typing import ClassVar

import dagster as dg

from ml_assets.components.attributes import RegressorAttributes
from ml_assets.components.scaffolder import TabularRegressorScaffolder
from ml_assets.components.tabular_model import TabularModel
from ml_assets.spec.metrics import Kind


@dg.scaffold_with(TabularRegressorScaffolder)
class TabularRegressor(TabularModel):
    """A regressor over a table: data in, a gated and served version out.

    The target is a number. The gate names the metric that decides and its limit.
    """

    KIND: ClassVar[Kind] = "regression"

    @classmethod
    def model(cls) -> type[RegressorAttributes]:
        """What the YAML may say, which ``dg check yaml`` and the UI ask for."""
        return RegressorAttributes
