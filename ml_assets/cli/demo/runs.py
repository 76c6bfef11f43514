"""Jobs and sensors of the second model, run in this process as the daemon would."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import dagster as dg

from ml_assets.cli.activity import activity, copy_of
from ml_assets.cli.jobs import QUIET
from ml_assets.cli.output import Failed
from ml_assets.cli.processes import heeding_termination
from ml_assets.cli.run_report import RunReport
from ml_assets.components.stages import definitions_of
from ml_assets.spec.catalogue import read_specs

if TYPE_CHECKING:
    from ml_assets.spec.model import ModelSpec


class Runs:
    """What one YAML defines, on an instance that others may use at the same time.

    Parameters
    ----------
    instance : DagsterInstance
        In which runs and events are recorded.
    path : Path
        The YAML; it is read again whenever something is run.
    """

    def __init__(self, instance: dg.DagsterInstance, path: Path) -> None:
        self._instance = instance
        self._path = path
        self._cursors: dict[str, str | None] = {}

    @property
    def spec(self) -> "ModelSpec":
        """The model as the YAML now has it."""
        (spec,) = read_specs(self._path)
        return spec

    def run(
        self,
        job: str,
        config: Mapping[str, Any] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> RunReport:
        """Run a job to its end.

        Raises
        ------
        Failed
            If it fails, with the reason.
        """
        definitions = self._definitions()
        return self._execute(definitions.resolve_job_def(job), config, tags)

    def materialize_all(self) -> RunReport:
        """What a click on *Materialize all* in the model's group of the UI runs.

        Raises
        ------
        Failed
            If it fails, with the reason.
        """
        definitions = self._definitions()
        return self._execute(definitions.resolve_implicit_global_asset_job_def())

    def _execute(
        self,
        job: dg.JobDefinition,
        config: Mapping[str, Any] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> RunReport:
        report = RunReport(self.spec.name, lambda *_: None)
        is_implicit = job.name.startswith("__")
        doing = "materializing all" if is_implicit else f"running {job.name}"
        try:
            with (
                heeding_termination(),
                copy_of(sys.stdout) as out,
                activity(doing, out),
            ):
                done = job.execute_in_process(
                    instance=self._instance,
                    run_config={**(config or {}), "loggers": QUIET},
                    tags=dict(tags or {}),
                    raise_on_error=False,
                )
        except dg.DagsterExecutionInterruptedError as error:
            raise click.Abort from error
        for event in done.all_events:
            report(event)
        if not done.success:
            raise Failed(f"the run of {job.name} failed: {'; '.join(report.errors)}")
        return report

    def launch(self, sensor: str, job: str) -> RunReport:
        """Evaluate a sensor, and run what it asks for since its last evaluation.

        Raises
        ------
        Failed
            If it does not ask for one run, with its reason, or the run fails.
        """
        found = self._definitions().resolve_sensor_def(sensor)
        context = dg.build_sensor_context(
            self._instance, cursor=self._cursors.get(sensor), sensor_name=sensor
        )
        result = found.evaluate_tick(context)
        self._cursors[sensor] = result.cursor
        requests = result.run_requests or []
        if len(requests) != 1:
            raise Failed(
                f"sensor {sensor} asks for {len(requests)} runs, expected 1:"
                f" {result.skip_message}"
            )
        tags = {**requests[0].tags, "dagster/sensor_name": sensor}
        return self.run(job, requests[0].run_config, tags)

    def _definitions(self) -> dg.Definitions:
        return definitions_of([self.spec])
