"""Decisions on two versions of a model, made in processes that may be killed."""

import contextlib
import json
import os
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from ml_assets.lifecycle import verdict_actions
from ml_assets.lifecycle.activation import activate
from ml_assets.lifecycle.deployment import DoneError, deploy
from ml_assets.lifecycle.plan_transitions import challenge, live_plan
from ml_assets.lifecycle.rollback import rollback
from ml_assets.lifecycle.verdict_actions import apply_verdict
from ml_assets.ml.sequential import Decision
from ml_assets.records.plan import ServingPlan
from ml_assets.spec.operation import ServingSpec
from ml_assets.state.plans import Plans
from ml_assets.state.versions import Versions
from ml_assets.targets import local
from ml_assets.targets.local import LocalTarget
from ml_assets_tests.kits.patience import PATIENCE
from ml_assets_tests.kits.processes import CONTEXT, MODEL
from ml_assets_tests.kits.strikes import die_at

CANARY = ServingSpec(strategy="canary")


class Made(NamedTuple):
    """A decision: what has to be there before it, and how it is made.

    Attributes
    ----------
    prepare
        Brings the model from its first plan to the one that is decided on.
    make
        Of the file of the model's YAML; once, however often it is called.
    """

    prepare: Callable[[], None]
    make: Callable[[Path], object]


def killed_at(name: str, spec: Path, number: int) -> bool:
    """Make a decision in a process that dies at that change; whether it came to it."""
    (code,) = _ends(name, spec, [number])
    assert code in (0, -signal.SIGKILL), code
    return code != 0


def race(name: str, spec: Path, count: int) -> None:
    """Make a decision in so many processes at once, each of which ends well."""
    assert _ends(name, spec, [None] * count) == [0] * count


def _ends(name: str, spec: Path, deaths: Sequence[int | None]) -> list[int | None]:
    """Exit codes of processes that make a decision, and die where it is given."""
    given = (name, spec, dict(os.environ))
    found = [CONTEXT.Process(target=_make, args=(*given, at)) for at in deaths]
    for process in found:
        process.start()
    for process in found:
        process.join(PATIENCE)
        process.kill()
        process.join()
    return [process.exitcode for process in found]


def make(name: str, spec: Path) -> None:
    """Make a decision here, or make it good. What it would serve is not tried first."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(local, "preflight", lambda *_: None)
        patch.setattr(verdict_actions, "experiment_status", _promoting)
        DECISIONS[name].make(spec)


def _make(name: str, spec: Path, environ: dict[str, str], at: int | None) -> None:
    os.environ.clear()
    os.environ.update(environ)
    if at is not None:
        die_at(at)
    # Another process may have made it.
    with contextlib.suppress(DoneError):
        make(name, spec)
    os._exit(0)


_status = verdict_actions.experiment_status


def _promoting(*given: Any) -> Any:
    """The experiment as if its evidence were enough."""
    found = _status(*given)
    won = Decision(verdict="promote", sentence="it wins")
    return found and found._replace(decision=won)


def _activate(plan: ServingPlan, key: str) -> None:
    target = LocalTarget()
    with pytest.MonkeyPatch.context() as patch, target.lock(MODEL):
        patch.setattr(local, "preflight", lambda *_: None)
        activate(target, plan, "experiment", "user ana", "test", {}, key)


def _newest() -> Any:
    return Versions().get(MODEL, Versions().names(MODEL)[-1])


def _serve_second() -> None:
    _activate(live_plan(_newest(), Plans().current(MODEL), "test", None), "two")


def _try_second() -> None:
    before = Plans().current(MODEL)
    _activate(challenge(before, _newest(), CANARY, "test"), "canary")


def _deploy(spec: Path) -> None:
    from ml_assets.components import TabularClassifier

    model: Any = TabularClassifier.model_validate(json.loads(spec.read_text()))
    deploy(model, LocalTarget(), None, "run", "user ana")


def _roll_back(spec: Path) -> None:
    rollback(LocalTarget(), MODEL, "user ana", "errors", key="rollback:run")


def _promote(spec: Path) -> None:
    apply_verdict(LocalTarget(), MODEL, CANARY, "user ana")


DECISIONS = {
    "deployment": Made(lambda: None, _deploy),
    "rollback": Made(_serve_second, _roll_back),
    "promotion": Made(_try_second, _promote),
}
