"""A run told in lines that a newcomer understands, from its events as they come."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from dagster import AssetCheckEvaluation, DagsterEvent

WIDTH = 12
STARTS = {
    "raw": "reading the source",
    "raw_checks": "checking the rows with Great Expectations",
    "features": "deriving columns, holding out test rows",
    "model": "training, packaging and registering a version",
    "evaluation": "scoring the held-out rows and asking the gate",
    "deployment": "rolling the version out",
    "deployment_ledger": "checking that the deployment is recorded",
    "monitoring": "keeping a reference profile of data and predictions",
}
TITLES = {
    "raw": "ingestion",
    "raw_checks": "validation",
    "model": "training",
    "deployment_ledger": "ledger",
}
FIGURES = ("accuracy", "balanced_accuracy", "roc_auc", "average_precision", "log_loss")

Emit = Callable[[str], None]


def line(label: str, text: str) -> str:
    """A line whose label stands in a column of its own."""
    return f"  {click.style(label.ljust(WIDTH - 1), bold=True)} {text}"


class Story:
    """Tells the events of one run of `model` through `emit`.

    Attributes
    ----------
    metadata : dict of str to dict
        Stage to the metadata that its asset got.
    skipped : list of str
        Why stages had nothing to do.
    errors : list of str
        Why stages failed.
    checks : dict of str to bool
        Check to whether it passed.
    """

    def __init__(self, model: str, emit: Emit) -> None:
        self.model = model
        self.metadata: dict[str, dict[str, Any]] = {}
        self.skipped: list[str] = []
        self.errors: list[str] = []
        self.checks: dict[str, bool] = {}
        self._emit = emit

    def __call__(self, event: "DagsterEvent") -> None:
        """Tell one event, if it says something to people."""
        stage = (event.step_key or "").removeprefix(f"{self.model}__")
        match event.event_type_value:
            case "STEP_START":
                self._say(stage, STARTS.get(stage, "started"))
            case "ASSET_MATERIALIZATION":
                self._materialized(event)
            case "ASSET_OBSERVATION":
                self._observed(stage, event)
            case "ASSET_CHECK_EVALUATION":
                self._checked(stage, event.asset_check_evaluation_data)
            case "STEP_UP_FOR_RETRY":
                self._say(stage, f"failed, and is tried again: {failure(event)}")
            case "STEP_FAILURE":
                self.errors.append(f"{TITLES.get(stage, stage)}: {failure(event)}")
                self._say(stage, click.style(f"FAILED: {failure(event)}", fg="red"))
            case "RUN_FAILURE" | "PIPELINE_FAILURE" if not self.errors:
                self.errors.append(event.message or "the run failed")

    def _say(self, stage: str, text: str) -> None:
        self._emit(line(TITLES.get(stage, stage), text))

    def _more(self, text: str) -> None:
        self._emit(line("", text))

    def _materialized(self, event: "DagsterEvent") -> None:
        materialization = event.step_materialization_data.materialization
        stage = materialization.asset_key.path[-1]
        found = {name: item.value for name, item in materialization.metadata.items()}
        self.metadata[stage] = found
        tell = TELLERS.get(stage)
        for text in tell(found) if tell else ["done"]:
            self._more(text)

    def _observed(self, stage: str, event: "DagsterEvent") -> None:
        observation = event.asset_observation_data.asset_observation
        skipped = observation.metadata.get("skipped")
        if skipped is not None:
            self.skipped.append(str(skipped.value))
            self._more(str(skipped.value))

    def _checked(self, stage: str, check: "AssetCheckEvaluation") -> None:
        self.checks[check.check_name] = check.passed
        if stage == "evaluation":
            return
        word = "passed" if check.passed else click.style("FAILED", fg="red")
        said = "" if check.passed else f": {check.description}"
        self._more(f"{word}  {check.check_name.replace('_', ' ')}{said}")


def failure(event: "DagsterEvent") -> str:
    """Why a step failed: what the asset said, else the first cause."""
    data: Any = event.event_specific_data
    told = getattr(data, "user_failure_data", None)
    if told is not None and told.description:
        return str(told.description)
    error = data.error
    while error is not None and error.cause is not None:
        error = error.cause
    return str(error.message).strip() if error is not None else str(event.message)


def gate_lines(gate: Mapping[str, Any]) -> list[str]:
    """Each clause of a gate's decision with its figures, and the verdict."""
    lines = []
    for clause in gate["clauses"]:
        word = "passed" if clause["passed"] else click.style("FAILED", fg="red")
        lines.append(f"{word}  {clause['name']}: {clause['sentence']}")
    verdict = "the version passes" if gate["passed"] else "the version is refused"
    if gate["passed"] and gate.get("repeats"):
        verdict = "the version is the champion again: nothing to deploy"
    colour = "green" if gate["passed"] else "yellow"
    return [*lines, click.style(verdict, fg=colour, bold=True)]


def _raw(found: dict[str, Any]) -> list[str]:
    columns = len(found["dagster/column_schema"].columns)
    # The kind first; JSON has sorted the keys.
    source = sorted(found["source"].items(), key=lambda item: item[0] != "type")
    place = " ".join(str(value) for _, value in source if value is not None)
    told = [f"{found['dagster/row_count']:,} rows of {columns} columns from {place}"]
    if found.get("columns_without_name"):
        told.append(
            f"{found['columns_without_name']} column(s) without a name left out"
        )
    dressed = found.get("numbers_in_texts", "none")
    return told + (dressed.split("; ") if dressed != "none" else [])


def _features(found: dict[str, Any]) -> list[str]:
    rows, test = found["dagster/row_count"], found["held_out_rows"]
    return [
        *_notes(found),
        f"{rows - test:,} rows to train with, {test:,} held out to test",
    ]


def _notes(found: dict[str, Any]) -> list[str]:
    """What was left out, retyped, bounded or lost, a line each."""
    lines = str(found.get("notes") or "").splitlines()
    return [line.removeprefix("- ") for line in lines]


def _model(found: dict[str, Any]) -> list[str]:
    return [
        f"version {found['version']}: {found['estimator']}, fitted in"
        f" {found['fit_seconds']:.2f} s on {found['train_rows']:,} rows",
        *_notes(found),
        f"registered as {found['registry']}",
        _runtime(found["runtime"], found.get("runtime_reason", "")),
    ]


def _runtime(runtime: str, reason: str) -> str:
    if runtime == "compiled":
        return "compiled for the model server; its answers equal scikit-learn's"
    return f"served by scikit-learn itself: {reason}"


def _evaluation(found: dict[str, Any]) -> list[str]:
    shown = [
        f"{name.replace('_', ' ')} {found[name]:.4f}"
        for name in FIGURES
        if name in found
    ]
    return [", ".join(shown)]


def _deployment(found: dict[str, Any]) -> list[str]:
    servers = found["servers"]
    told = f"{servers} running server(s) took it over" if servers else "no server runs"
    return [
        f"version {found['version']} is in service: plan {found['generation']},"
        f" runtime {found['runtime']}; {told}"
    ]


def _monitoring(found: dict[str, Any]) -> list[str]:
    return [f"profile of {found['rows']:,} rows, {found['columns']} columns"]


TELLERS: dict[str, Callable[[dict[str, Any]], list[str]]] = {
    "raw": _raw,
    "features": _features,
    "model": _model,
    "evaluation": _evaluation,
    "deployment": _deployment,
    "monitoring": _monitoring,
}
