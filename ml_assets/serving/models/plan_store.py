"""The plans of every model as servers read them, numbered by generation.

``plans/<model>/00000007.json`` is created once, after the database has committed that
plan, and never changes; the highest number is the active plan.

``plans/<model>/proposal.json`` is a plan under preparation: running servers load it
beside the one they serve, and report in ``servers/`` whether they could.

``plans/<model>/staged/7-3fa9c1d2e4b5.json`` is a plan to which servers are pinned
before it is active: pods of a new generation load it, and only when all have is it
committed.
"""

import fcntl
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import msgspec

from ml_assets.core.files import (
    TEMPORARY,
    below,
    create_bytes,
    is_locked,
    is_name,
    write_bytes,
)
from ml_assets.records.plan import ServingPlan, encode, pin_of

State = Literal["ready", "prepared", "failed"]


class StalePlanError(Exception):
    """Somebody else committed a plan since this one was made."""


class ServerReport(msgspec.Struct, frozen=True, kw_only=True):
    """What one server process reports of one model.

    ``proposal`` is the digest of the proposal that the state is about, or None.
    """

    server: str
    model: str
    generation: int
    state: State
    proposal: str | None = None
    reason: str = ""


class PlanStore:
    """Plans, proposals and server reports under the storage directory `root`."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def models(self) -> list[str]:
        """Names of the models that have a plan."""
        return [name for name in self.names() if self._generations(name)]

    def names(self) -> list[str]:
        """Names of the models that have a plan, or may have a proposal of one."""
        plans = self.root / "plans"
        found = plans.iterdir() if plans.is_dir() else []
        return sorted(i.name for i in found if is_name(i.name) and i.is_dir())

    def current(self, model: str) -> ServingPlan | None:
        """The active plan, or None where the model was never deployed."""
        generations = self._generations(model)
        return self.read(model, generations[-1]) if generations else None

    def read(self, model: str, generation: int) -> ServingPlan:
        """The plan of one generation."""
        data = self.path(model, generation).read_bytes()
        return msgspec.json.decode(data, type=ServingPlan)

    def history(self, model: str) -> list[ServingPlan]:
        """Every plan of the model, oldest first."""
        return [self.read(model, number) for number in self._generations(model)]

    def propose(self, plan: ServingPlan) -> None:
        """Ask the running servers to prepare `plan`."""
        write_bytes(self._directory(plan.model) / "proposal.json", encode(plan))

    def proposal(self, model: str) -> ServingPlan | None:
        """The plan under preparation, if it is newer than the one active."""
        try:
            data = (self._directory(model) / "proposal.json").read_bytes()
        except FileNotFoundError:
            return None
        plan = msgspec.json.decode(data, type=ServingPlan)
        generations = self._generations(model)
        newest = generations[-1] if generations else 0
        return plan if plan.generation > newest else None

    def withdraw(self, model: str) -> None:
        """Drop the plan under preparation."""
        (self._directory(model) / "proposal.json").unlink(missing_ok=True)

    def publish(self, plan: ServingPlan) -> None:
        """Let servers read `plan`, which the database has committed; again, if asked.

        Raises
        ------
        StalePlanError
            If another plan of its generation is there.
        """
        path = self.path(plan.model, plan.generation)
        if not create_bytes(path, encode(plan)) and not self.is_active(plan):
            raise StalePlanError(
                f"plan {plan.generation} of {plan.model} is another one in the storage"
            )
        self.withdraw(plan.model)

    def stage(self, plan: ServingPlan) -> None:
        """Write `plan` where servers that are pinned to it find it before it is active.

        It is named by its content, so that nobody can replace it.
        """
        create_bytes(self._staged_path(plan.model, pin_of(plan)), encode(plan))

    def pinned(self, model: str, pin: str) -> ServingPlan | None:
        """The plan of a pin, staged, active, past or proposed; None if it is none."""
        for path in (
            self._staged_path(model, pin),
            self.path(model, int(pin.partition("-")[0])),
            self._directory(model) / "proposal.json",
        ):
            try:
                plan = msgspec.json.decode(path.read_bytes(), type=ServingPlan)
            except FileNotFoundError:
                continue
            if pin in {str(plan.generation), pin_of(plan)}:
                return plan
        return None

    def staged(self, model: str) -> list[ServingPlan]:
        """Every staged plan that is not active."""
        plans = [
            msgspec.json.decode(path.read_bytes(), type=ServingPlan)
            for path in sorted(self._staged(model).glob("[0-9]*.json"))
        ]
        active = self.history(model)
        return [plan for plan in plans if plan not in active]

    def unstage(self, model: str) -> None:
        """Drop every staged plan. Call it when no server is pinned to one."""
        for path in self._staged(model).glob("[0-9]*.json"):
            path.unlink(missing_ok=True)

    def report(self, report: ServerReport) -> None:
        """Write what a server has loaded, while it holds its `ServerLease`."""
        path = below(self.root / "servers", report.server, f"{report.model}.json")
        write_bytes(path, encode(report))

    def reports(self, model: str) -> list[ServerReport | None]:
        """One item per living server: its report on `model`, None if it gave none."""
        found: list[ServerReport | None] = []
        for server in self._living_servers():
            try:
                data = (server / f"{model}.json").read_bytes()
            except FileNotFoundError:
                found.append(None)
                continue
            found.append(msgspec.json.decode(data, type=ServerReport))
        return found

    def is_active(self, plan: ServingPlan) -> bool:
        """Whether `plan` was committed, be it the newest or not."""
        try:
            return self.read(plan.model, plan.generation) == plan
        except FileNotFoundError:
            return False

    def handoff_mark(self, server: str) -> Path:
        """File that exists while `server` takes the requests of its hand-off."""
        return below(self.root / "servers", server) / "handoff"

    def takes_requests(self, host: str) -> bool:
        """Whether a living server on the machine `host` serves behind its hand-off."""
        return any(
            item.name.startswith(f"{host}-") and self.handoff_mark(item.name).exists()
            for item in self._living_servers()
        )

    def remove_dead_servers(self) -> None:
        """Remove what servers that were killed left of themselves.

        A lease that nobody holds is of a dead server: its name is never used again,
        whatever process has its number by now. One without a lease may be starting.
        """
        for item in self.dead_servers():
            lease = item / "lease"
            # In this order: one that is starting takes its lease at any moment.
            if lease.exists() and not is_locked(lease):
                shutil.rmtree(item, ignore_errors=True)

    def dead_servers(self) -> list[Path]:
        """Directories of servers that hold no lease, or none yet."""
        servers = self.root / "servers"
        found = sorted(servers.iterdir()) if servers.is_dir() else []
        return [
            item
            for item in found
            if item.is_dir() and is_name(item.name) and not is_locked(item / "lease")
        ]

    def _living_servers(self) -> Iterator[Path]:
        servers = self.root / "servers"
        for item in sorted(servers.iterdir()) if servers.is_dir() else []:
            if is_locked(item / "lease"):
                yield item

    def _directory(self, model: str) -> Path:
        return below(self.root / "plans", model)

    def path(self, model: str, generation: int) -> Path:
        """File of one plan."""
        return self._directory(model) / f"{generation:08d}.json"

    def _staged(self, model: str) -> Path:
        return self._directory(model) / "staged"

    def _staged_path(self, model: str, pin: str) -> Path:
        return below(self._staged(model), f"{pin}.json")

    def _generations(self, model: str) -> list[int]:
        directory = self._directory(model)
        if not directory.is_dir():
            return []
        names = (entry.name for entry in os.scandir(directory))
        return sorted(int(name[:8]) for name in names if name[:8].isdigit())


class ServerLease:
    """A server's sign of life: a lock that the system drops when the process dies."""

    def __init__(self, root: Path, server: str) -> None:
        path = below(root / "servers", server) / "lease"
        path.parent.mkdir(parents=True, exist_ok=True)
        # Locked before it has its name: who checks it, for which a lock is needed too,
        # never finds it unlocked and never locks it before us.
        temporary = path.with_name(f"{TEMPORARY}{uuid.uuid4().hex}-lease")
        self._stream = temporary.open("xb")
        fcntl.flock(self._stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.replace(temporary, path)

    def release(self) -> None:
        """Give the lease back."""
        self._stream.close()
