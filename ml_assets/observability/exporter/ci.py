"""What the newest ``delivery/ci`` says of the workflows on GitHub."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from prometheus_client.core import Metric

from ml_assets.observability.exporter.metric_families import GaugeFamily

PATH = ["delivery", "ci"]
# Metadata of the asset to the metric, and what it is.
FIGURES = {
    "tests": ("tests", "Tests of the newest run that has any."),
    "failing": ("failing_tests", "Tests that failed in the newest runs."),
    "flaky": ("flaky_tests", "Tests and jobs that failed and passed on one commit."),
    "coverage": ("coverage_ratio", "Share of lines that the tests ran."),
    "read_at": ("read_timestamp_seconds", "When GitHub last answered."),
}
BY_WORKFLOW = {
    "passing": ("passing", "1 if the newest run of a workflow passed."),
    "failure_ratio": ("failure_ratio", "Share of failures in the newer half of runs."),
    "seconds": ("run_duration_seconds", "Median duration of the runs of a workflow."),
    "started": ("run_timestamp_seconds", "When the newest run of a workflow began."),
}


class CiMetrics:
    """The newest figures of ``delivery/ci``; as many workflows as the asset names."""

    def __init__(self) -> None:
        self._metadata: Mapping[str, Any] = {}

    def update(self, path: Sequence[str], metadata: Mapping[str, Any]) -> None:
        """Keep the metadata, if it is that of the asset."""
        # One that a person reported by hand has no figures.
        if [*path] == PATH and isinstance(metadata.get("workflows"), Mapping):
            self._metadata = metadata

    def metrics(self) -> Iterator[Metric]:
        """The families."""
        for key, (name, text) in FIGURES.items():
            family = GaugeFamily(f"ml_assets_ci_{name}", text)
            _set(family, self._metadata.get(key))
            yield family.metric()
        workflows = self._metadata.get("workflows", {})
        for key, (name, text) in BY_WORKFLOW.items():
            family = GaugeFamily(f"ml_assets_ci_{name}", text, ["workflow"])
            for workflow, figures in workflows.items():
                _set(family, figures.get(key), workflow)
            yield family.metric()


def _set(family: GaugeFamily, value: Any, *labels: str) -> None:
    if isinstance(value, int | float):
        family.set(*labels, value=float(value))
