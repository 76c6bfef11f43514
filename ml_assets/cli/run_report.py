"""The report of a run in lines for people, from its events as they come."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TextIO

from ml_assets.cli.console import Fragment, item

if TYPE_CHECKING:
    from dagster import AssetCheckEvaluation, DagsterEvent

WIDTH = 11
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
# Those of the metadata are shown that the version's task has.
FIGURES = (
    "expected_cost", "accuracy", "balanced_accuracy", "roc_auc", "average_precision",
    "log_loss", "f1_macro", "mae", "rmse", "r2",
)  # fmt: skip

# Prints a label and the parts of its text.
Emit = Callable[..., None]


def print_line(label: str, *text: Fragment, stream: TextIO | None = None) -> None:
    """Print a label in a column of its own, and its text."""
    item((label, "bold"), *text, width=WIDTH, indent=2, stream=stream)


class RunReport:
    """Reports the events of one run of `model` as lines for people.

    Parameters
    ----------
    model : str
    emit : callable
        Prints a line: its label, and the parts of its text.
    show : callable, optional
        Is called with what is being done, and with an empty text when that ends.

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

    def __init__(
        self, model: str, emit: Emit, show: Callable[[str], None] | None = None
    ) -> None:
        self.model = model
        self.metadata: dict[str, dict[str, Any]] = {}
        self.skipped: list[str] = []
        self.errors: list[str] = []
        self.checks: dict[str, bool] = {}
        self._emit = emit
        self._show = show or (lambda _: None)

    def __call__(self, event: "DagsterEvent") -> None:
        """Report one event, if it is one for people."""
        stage = (event.step_key or "").removeprefix(f"{self.model}__")
        title = TITLES.get(stage, stage)
        match event.event_type_value:
            case "STEP_START":
                self._emit(title, STARTS.get(stage, "started"))
                self._show(title)
            case "ASSET_MATERIALIZATION":
                self._materialized(event)
            case "ASSET_OBSERVATION":
                self._observed(event)
            case "ASSET_CHECK_EVALUATION":
                self._checked(stage, event.asset_check_evaluation_data)
            case "STEP_UP_FOR_RETRY":
                self._emit(title, f"failed, and is tried again: {failure(event)}")
            case "STEP_FAILURE":
                self.errors.append(f"{title}: {failure(event)}")
                self._emit(title, (f"FAILED: {failure(event)}", "red"))
                self._show("")
            case "STEP_SUCCESS":
                self._show("")
            case "RUN_FAILURE" | "PIPELINE_FAILURE" if not self.errors:
                self.errors.append(event.message or "the run failed")

    def _materialized(self, event: "DagsterEvent") -> None:
        materialization = event.step_materialization_data.materialization
        stage = materialization.asset_key.path[-1]
        found = {name: each.value for name, each in materialization.metadata.items()}
        self.metadata[stage] = found
        for text in SUMMARIES[stage](found) if stage in SUMMARIES else ["done"]:
            self._emit("", text)

    def _observed(self, event: "DagsterEvent") -> None:
        observation = event.asset_observation_data.asset_observation
        skipped = observation.metadata.get("skipped")
        if skipped is not None:
            self.skipped.append(str(skipped.value))
            self._emit("", str(skipped.value))

    def _checked(self, stage: str, check: "AssetCheckEvaluation") -> None:
        self.checks[check.check_name] = check.passed
        if stage == "evaluation":
            return
        finding = "" if check.passed else f": {check.description}"
        name = check.check_name.replace("_", " ")
        self._emit("", _passed(check.passed), f"  {name}{finding}")


def _passed(passed: bool) -> Fragment:
    return ("passed", "green") if passed else ("FAILED", "red")


def failure(event: "DagsterEvent") -> str:
    """Why a step failed: the asset's own description, else the first cause."""
    data: Any = event.event_specific_data
    described = getattr(data, "user_failure_data", None)
    if described is not None and described.description:
        return str(described.description)
    error = data.error
    while error is not None and error.cause is not None:
        error = error.cause
    return str(error.message).strip() if error is not None else str(event.message)


def gate_lines(gate: Mapping[str, Any]) -> list[tuple[Fragment, ...]]:
    """Each clause of a gate's decision with its figures, and the verdict."""
    lines: list[tuple[Fragment, ...]] = [
        (_passed(clause["passed"]), f"  {clause['name']}: {clause['sentence']}")
        for clause in gate["clauses"]
    ]
    verdict = "the version passes" if gate["passed"] else "the version is refused"
    if gate["passed"] and gate.get("repeats"):
        verdict = "the version is the champion again: nothing to deploy"
    colour = "green" if gate["passed"] else "yellow"
    return [*lines, ((verdict, f"bold {colour}"),)]


def _raw(found: dict[str, Any]) -> list[str]:
    columns = len(found["dagster/column_schema"].columns)
    # The kind first; JSON has sorted the keys.
    source = sorted(found["source"].items(), key=lambda pair: pair[0] != "type")
    origin = " ".join(str(value) for _, value in source if value is not None)
    lines = [f"{found['dagster/row_count']:,} rows of {columns} columns from {origin}"]
    if found.get("columns_without_name"):
        lines.append(
            f"{found['columns_without_name']} column(s) without a name left out"
        )
    numbers = found.get("numbers_in_texts", "none")
    return lines + (numbers.split("; ") if numbers != "none" else [])


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
    reached = (
        f"{servers} running server(s) took it over" if servers else "no server runs"
    )
    return [
        f"version {found['version']} is in service: plan {found['generation']},"
        f" runtime {found['runtime']}; {reached}"
    ]


def _monitoring(found: dict[str, Any]) -> list[str]:
    return [f"profile of {found['rows']:,} rows, {found['columns']} columns"]


SUMMARIES: dict[str, Callable[[dict[str, Any]], list[str]]] = {
    "raw": _raw,
    "features": _features,
    "model": _model,
    "evaluation": _evaluation,
    "deployment": _deployment,
    "monitoring": _monitoring,
}
