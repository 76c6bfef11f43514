"""``<model>/replay``: logged requests, answered by a version before it is exposed."""

from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

import dagster as dg
import msgspec
from pydantic import Field

from ml_assets.assets.common import (
    MAY_SKIP,
    Events,
    check_result,
    check_spec,
    key,
    object_metadata,
    skipped,
    stage_arguments,
)
from ml_assets.assets.retries import failing_on
from ml_assets.core.storage import storage
from ml_assets.lifecycle.gate_decision import passed
from ml_assets.records.plan import ServingPlan, Signature
from ml_assets.records.version import VersionRecord
from ml_assets.spec.model import ModelSpec
from ml_assets.state.plans import Plans
from ml_assets.state.versions import UnknownVersionError, Versions

if TYPE_CHECKING:
    import pandas as pd

    from ml_assets.lifecycle.replay import Replayed

COLUMNS = ("arm", "version", "p", "label", "value", "us", "error", "x")


class ReplayConfig(dg.Config):
    """Options of a run."""

    version: str | None = Field(
        None,
        description="version to try; the challenger, or the newest that passed",
    )
    hours: float = Field(24.0, gt=0, description="of requests, up to the newest")
    limit: int = Field(10_000, ge=1, description="requests, the newest of them")


class NothingToReplayError(Exception):
    """There is no request, or no version to ask."""


class Summary(NamedTuple):
    """What came of a replay."""

    version: str
    rows: int
    answered: int
    disagreements: int
    misfits: "Counter[str]"
    errors: "Counter[str]"
    crash: str
    mean_change: float
    us_p50: float
    us_p99: float

    @property
    def harmless(self) -> bool:
        """Whether every request got an answer."""
        return not (self.misfits or self.errors or self.crash)

    @property
    def sentence(self) -> str:
        """The finding in words."""
        text = (
            f"version {self.version} answered {self.answered:,} of {self.rows:,}"
            f" requests and disagreed on {self.disagreements:,}"
        )
        for name, found in (("misfits", self.misfits), ("errors", self.errors)):
            if found:
                text += f"; {name}: {found.total():,} of {len(found):,} kinds"
        return text + (f"; it crashed {self.crashed_at}" if self.crash else "")

    @property
    def crashed_at(self) -> str:
        """Which request it was; the message may hold values, and is in the report."""
        return self.crash.rpartition(", ")[2]


def report_name(model: str, run_id: str) -> str:
    """Object of what a replay found, with the text of each refusal and error."""
    return f"reports/{model}/replay/{run_id}.json"


def build(spec: ModelSpec) -> dg.Definitions:
    """The asset that replays, and its check."""
    check = check_spec(spec, "replay", "The version answers every logged request.")

    @dg.asset(
        **stage_arguments(spec, "replay", "python"),
        description=(
            f"Logged requests of {spec.name}, answered by a version that does not"
            " serve: disagreements, refusals, crashes and latency."
        ),
        deps=[key(spec, "predictions"), key(spec, "evaluation")],
        check_specs=[check],
        **MAY_SKIP,
    )
    def replay(context: dg.AssetExecutionContext, config: ReplayConfig) -> Events:
        try:
            with failing_on(UnknownVersionError):
                found = score(spec, config)
        except NothingToReplayError as reason:
            context.log.info(str(reason))
            yield skipped(spec, "replay", str(reason))
            text = f"nothing was replayed: {reason}"
            yield check_result(spec, "replay", True, text)
            return
        report = context.log.info if found.harmless else context.log.warning
        report(found.sentence)
        result = check_result(spec, "replay", found.harmless, found.sentence)
        name = report_name(spec.name, context.run.run_id)
        # A run that is tried again finds what it finds then.
        storage().put(name, msgspec.json.format(msgspec.json.encode(found._asdict())))
        yield dg.MaterializeResult(
            metadata={**describe(found), "report": object_metadata(name)},
            check_results=[result],
        )

    return dg.Definitions(assets=[replay])


def score(spec: ModelSpec, config: ReplayConfig) -> Summary:
    """Replay the newest logged requests.

    Raises
    ------
    NothingToReplayError
        If nothing serves, no request was logged, or there is no version to try.
    """
    from ml_assets.lifecycle.plan_transitions import live_arm
    from ml_assets.lifecycle.replay import replay
    from ml_assets.state.bundles import fetch_bundle

    plan = Plans().current(spec.name)
    if plan is None:
        raise NothingToReplayError(
            f"{spec.name} was never deployed; it has no requests"
        )
    record = _chosen(spec, plan, config.version)
    rows = _requests(spec, config)
    if rows.empty:
        raise NothingToReplayError(f"no request of {spec.name} was logged in that time")
    directory = fetch_bundle(record)
    signatures = {
        str(name): _signature(spec, str(name)) for name in rows["version"].unique()
    }
    bodies = [
        _body(signatures[str(version)], text)
        for version, text in zip(rows["version"], rows["x"], strict=True)
    ]
    done = replay(directory, live_arm(record), bodies)
    return _summary(record, rows, done)


def _chosen(spec: ModelSpec, plan: ServingPlan, version: str | None) -> VersionRecord:
    store = Versions()
    name = version or plan.experiment
    if name is not None:
        return store.get(spec.name, name)
    for candidate in reversed(store.names(spec.name)):
        if candidate == plan.live.version:
            break
        if passed(spec, store.evaluation(spec.name, candidate)):
            return store.get(spec.name, candidate)
    raise NothingToReplayError(
        f"{spec.name} has no version newer than {plan.live.version} that passed its"
        " gate; name one"
    )


def _requests(spec: ModelSpec, config: ReplayConfig) -> "pd.DataFrame":
    import pandas as pd

    from ml_assets.state.logged import newest_time, predictions

    since = max(newest_time(spec.name) - 3_600 * config.hours, 0.0)
    parts = []
    for day in predictions(spec.name, COLUMNS, since):
        parts.append(day[(day["arm"] != "shadow") & day["error"].isna()])
    if not parts:
        return pd.DataFrame()
    return pd.concat(parts, ignore_index=True).tail(config.limit)


def _signature(spec: ModelSpec, version: str) -> Signature:
    from ml_assets.state.bundles import signature_of

    return signature_of(Versions().get(spec.name, version))


def _body(signature: Signature, text: str) -> bytes:
    """The logged row as the body of the request that brought it."""
    values = msgspec.json.decode(text)
    pairs = zip(signature.columns, values, strict=True)
    # What may be left out was left out, for all that the log shows.
    row = {c.name: v for c, v in pairs if v is not None or not c.optional}
    return msgspec.json.encode({"rows": [row]})


def _summary(record: VersionRecord, rows: "pd.DataFrame", done: "Replayed") -> Summary:
    import numpy as np

    given = rows.head(len(done.answers))
    # A regression has neither a probability nor a label, but a value.
    logged = zip(given["label"], given["p"].fillna(given["value"]), strict=True)
    pairs = [
        (answer, *pair)
        for answer, pair in zip(done.answers, logged, strict=True)
        if answer.number is not None
    ]
    changes = [
        abs(answer.number - number)
        for answer, _, number in pairs
        if answer.number is not None
    ]
    micros = [answer.us for answer, _, _ in pairs] or [0]
    return Summary(
        version=record.version,
        rows=len(rows),
        answered=len(pairs),
        disagreements=sum(
            answer.label is not None and answer.label != label
            for answer, label, _ in pairs
        ),
        misfits=Counter(item.misfit for item in done.answers if item.misfit),
        errors=Counter(item.error for item in done.answers if item.error),
        crash=done.crash and f"{done.crash}, at request {len(done.answers) + 1}",
        mean_change=float(np.mean(changes)) if changes else 0.0,
        us_p50=float(np.percentile(micros, 50)),
        us_p99=float(np.percentile(micros, 99)),
    )


def describe(found: Summary) -> dict[str, Any]:
    """What the UI shows of a replay; texts of refusals may hold values of requests."""
    shown = {
        **found._asdict(),
        "misfits": found.misfits.total(),
        "errors": found.errors.total(),
        "crash": found.crashed_at,
    }
    return {"finding": found.sentence, "harmless": found.harmless, **shown}
