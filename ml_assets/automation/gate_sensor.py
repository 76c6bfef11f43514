"""The sensor that deploys a version when it passes its gate.

While a challenger is under test, a newer version waits: an experiment needs its labels,
which may take longer than the time between two trainings, and a version that replaced
the challenger would begin without any, so that no experiment would ever end.
"""

import datetime as dt
from collections.abc import Iterator
from typing import Any, NamedTuple

import dagster as dg

from ml_assets.assets.common import key
from ml_assets.assets.retries import next_attempt
from ml_assets.lifecycle.gate_decision import passed
from ml_assets.lifecycle.plan_transitions import challenger
from ml_assets.ml.gate import Gate
from ml_assets.ml.gate_figures import GateFigures
from ml_assets.spec.model import ModelSpec
from ml_assets.state.ledger import Ledger
from ml_assets.state.plans import Plans
from ml_assets.state.versions import Versions

SENSOR_SECONDS = 15
BATCH = 50
# With several writers, an event can appear after one with a higher number: the sensor
# remembers this many evaluations, and handles one among them that it has not handled.
OVERLAP = 20


def gate_sensor(spec: ModelSpec, job: Any) -> dg.SensorDefinition:
    """Deploys every version that passes the gate, each exactly once.

    It walks the evaluations in the order of the event log, so that none is passed over
    however many came since the last tick, and asks for one run per version.
    """
    gate = Gate(spec.gate)
    deployment = "__".join(key(spec, "deployment").path)

    @dg.sensor(
        name=f"{spec.name}_gate",
        job=job,
        minimum_interval_seconds=SENSOR_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"Deploys a version of {spec.name} when it passes its gate.",
    )
    def sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        seen = Seen.parse(context.cursor)
        tried = _under_test(spec)
        requests, refusals = [], []
        for storage_id, metadata in _evaluations(context, spec, seen):
            seen = seen.with_event(storage_id)
            version = str(metadata["version"].value)
            decision = gate.decide(GateFigures.from_dict(metadata["figures"].value))
            if not decision.deploys:
                refusals.append(f"version {version} is not deployed: {decision.reason}")
            elif tried not in (None, version):
                refusals.append(f"version {version} waits: {tried} is under test")
            else:
                requests.append(_request(spec, deployment, version))
        requests = requests or [*_failed_before(context, spec, job.name, deployment)]
        if not requests and tried is None:
            after = _after_experiment(context.instance, spec, job.name)
            requests = [_request(spec, deployment, version) for version in after]
        for refusal in refusals:
            context.log.info(refusal)
        reason = "; ".join(refusals) or "no new evaluation"
        return dg.SensorResult(
            run_requests=requests,
            skip_reason=None if requests else dg.SkipReason(reason),
            cursor=seen.format(),
        )

    return sensor


def _request(
    spec: ModelSpec, deployment: str, version: str, attempt: int = 1
) -> dg.RunRequest:
    again = f":{attempt}" if attempt > 1 else ""
    return dg.RunRequest(
        run_key=f"{spec.name}:{version}{again}",
        run_config={"ops": {deployment: {"config": {"version": version}}}},
        tags={"model": spec.name, "version": version},
    )


def _failed_before(
    context: dg.SensorEvaluationContext, spec: ModelSpec, job: str, deployment: str
) -> Iterator[dg.RunRequest]:
    """The newest version once more, if its run failed and nobody refused it."""
    newest = context.instance.get_runs(
        dg.RunsFilter(job_name=job, statuses=[dg.DagsterRunStatus.FAILURE]), limit=1
    )
    version = newest[0].tags.get("version") if newest else None
    if version is None:
        return
    now = dt.datetime.now(dt.UTC).timestamp()
    attempt = next_attempt(context.instance, job, {"version": version}, now)
    store = Versions()
    # A later version replaces it; one that is gone, or was decided on, is not retried.
    if attempt is None or store.latest(spec.name) != [version]:
        return
    if Ledger().last(spec.name, version=version) is None:
        yield _request(spec, deployment, version, attempt)


def _under_test(spec: ModelSpec) -> str | None:
    """The version that is the challenger of the active plan; None without one."""
    if spec.serving.strategy == "rolling":
        return None
    plan = Plans().current(spec.name)
    tried = challenger(plan) if plan else None
    return tried.version if tried else None


def _after_experiment(
    instance: dg.DagsterInstance, spec: ModelSpec, job: str
) -> list[str]:
    """The newest version, where it passes its gate and nobody asked for it yet.

    Older ones that waited, too, are passed over: it was made from newer data.

    Parameters
    ----------
    instance : DagsterInstance
        With the runs of `job`.
    spec : ModelSpec
        Whose strategy may have made a version wait.
    job : str
        Deploys a version, which its runs bear as a tag.
    """
    if spec.serving.strategy == "rolling":
        return []
    store = Versions()
    for version in store.latest(spec.name):
        asked = dg.RunsFilter(job_name=job, tags={"version": version})
        if instance.get_runs_count(asked):
            continue
        if not passed(spec, store.evaluation(spec.name, version)):
            continue
        if Ledger().last(spec.name, version=version) is None:
            return [version]
    return []


class Seen(NamedTuple):
    """The sensor's cursor: the highest event handled, and the `OVERLAP` last ones.

    Examples
    --------
    >>> seen = Seen.parse("9,3,9")
    >>> seen.is_new(9), seen.is_new(5), seen.is_new(10)
    (False, True, True)
    """

    newest: int = 0
    handled: tuple[int, ...] = ()

    @classmethod
    def parse(cls, cursor: str | None) -> "Seen":
        """Read a cursor; none is the beginning of the event log."""
        if not cursor:
            return cls()
        newest, *handled = (int(part) for part in cursor.split(","))
        return cls(newest, tuple(handled))

    def with_event(self, storage_id: int) -> "Seen":
        """This cursor after one more event."""
        handled = sorted({*self.handled, storage_id})[-OVERLAP:]
        return Seen(max(self.newest, storage_id), tuple(handled))

    def is_new(self, storage_id: int) -> bool:
        """Whether an event was not handled, as far as the cursor remembers.

        What is older than all that a full memory holds was handled, or came too late.
        """
        forgotten = len(self.handled) >= OVERLAP and storage_id < min(self.handled)
        return storage_id not in self.handled and not forgotten

    def format(self) -> str:
        """The text that `parse` reads."""
        return ",".join(map(str, (self.newest, *self.handled)))


def _evaluations(
    context: dg.SensorEvaluationContext, spec: ModelSpec, seen: Seen
) -> Iterator[tuple[int, Any]]:
    """Storage id and metadata of evaluations that were not handled, oldest first."""
    evaluation = key(spec, "evaluation")
    late = dg.AssetRecordsFilter(evaluation, before_storage_id=seen.newest)
    new = dg.AssetRecordsFilter(evaluation, after_storage_id=seen.newest)
    fetch = context.instance.fetch_materializations
    records = [
        *reversed(fetch(late, limit=OVERLAP, ascending=False).records),
        *fetch(new, limit=BATCH, ascending=True).records,
    ]
    for record in records:
        materialization = record.asset_materialization
        if materialization is None or not seen.is_new(record.storage_id):
            continue
        # An evaluation that a person reported by hand has no figures to decide on.
        if {"version", "figures"} <= materialization.metadata.keys():
            yield record.storage_id, materialization.metadata
