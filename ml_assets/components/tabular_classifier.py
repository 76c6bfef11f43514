"""``ml_assets.components.TabularClassifier``: a model that predicts a class."""

import dagster as dg

from ml_assets.components.attributes import Attributes
from ml_assets.components.scaffolder import TabularClassifierScaffolder
from ml_assets.components.tabular_model import TabularModel


@dg.scaffold_with(TabularClassifierScaffolder)
class TabularClassifier(TabularModel):
    """A classifier over a table: data in, a gated and served version out.

    The target has two classes or more, as the data of the first training has it.
    """

    @classmethod
    def model(cls) -> type[Attributes]:
        """What the YAML may say, which ``dg check yaml`` and the UI ask for."""
        return Attributes
