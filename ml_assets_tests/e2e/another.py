"""Runs in a container of the platform: trains a version that answers otherwise.

``python another.py MODEL --more 2``: of the model itself, with two iterations more; the
same version again would not be deployed. ``--name NAME``: of a model of that name,
which no YAML and no chart names, and deploys it.
"""

import argparse

import dagster as dg

from ml_assets.assets.common import STEPS, TABLES
from ml_assets.assets.io_managers import StepIOManager, TableIOManager
from ml_assets.cli.context import spec_of
from ml_assets.components.stages import STAGES


def main(model, more, name):
    spec = spec_of(model)
    params = spec.estimator.params
    params = {**params, "max_iter": params["max_iter"] + more}
    estimator = spec.estimator.model_copy(update={"params": params})
    update = {"estimator": estimator, "name": name or model}
    other = spec.model_copy(update=update)
    shared = dg.Definitions(
        resources={TABLES: TableIOManager(), STEPS: StepIOManager()},
        executor=dg.in_process_executor,
    )
    definitions = dg.Definitions.merge(
        *(stage.build(other) for stage in STAGES), shared
    )
    with dg.DagsterInstance.ephemeral() as instance:
        for job in ["train", "deploy"] if name else ["train"]:
            found = definitions.resolve_job_def(f"{other.name}_{job}")
            found.execute_in_process(instance=instance)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("--more", type=int, default=1)
    parser.add_argument("--name")
    main(**vars(parser.parse_args()))
