"""Runs in a container of the platform: trains a version that answers otherwise.

The same version again would not be deployed.
"""

import sys

import dagster as dg

from ml_assets.assets.common import STEPS, TABLES
from ml_assets.assets.io_managers import StepIOManager, TableIOManager
from ml_assets.cli.context import spec_of
from ml_assets.components.tabular_model import STAGES


def main(model):
    spec = spec_of(model)
    params = {
        **spec.estimator.params,
        "max_iter": spec.estimator.params["max_iter"] + 1,
    }
    estimator = spec.estimator.model_copy(update={"params": params})
    other = spec.model_copy(update={"estimator": estimator})
    shared = dg.Definitions(
        resources={TABLES: TableIOManager(), STEPS: StepIOManager()},
        executor=dg.in_process_executor,
    )
    definitions = dg.Definitions.merge(
        *(stage.build(other) for stage in STAGES), shared
    )
    with dg.DagsterInstance.ephemeral() as instance:
        job = definitions.resolve_job_def(f"{model}_train")
        job.execute_in_process(instance=instance)


if __name__ == "__main__":
    main(*sys.argv[1:])
