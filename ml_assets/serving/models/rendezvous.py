"""Where the servers of one machine meet its deployers: a directory of that machine.

``proposals/<model>.json`` is a plan under preparation: running servers load it beside
the one that they serve. ``servers/<server>/`` has the server's lease, which is a lock
that the system drops when it dies, its report on each model, and the mark that it takes
the requests of its hand-off.
"""

import contextlib
import fcntl
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import msgspec

from ml_assets.core.decoding import from_json
from ml_assets.core.files import TEMPORARY, below, home, is_locked, is_name
from ml_assets.records.plan import ServingPlan, encode

State = Literal["ready", "prepared", "failed"]


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


class Rendezvous:
    """Proposals, and the servers of this machine, below the directory `home`."""

    def __init__(self, home: Path) -> None:
        self._proposals = home / "proposals"
        self._servers = home / "servers"

    def propose(self, plan: ServingPlan) -> None:
        """Ask the running servers to prepare `plan`."""
        _write(below(self._proposals, f"{plan.model}.json"), encode(plan))

    def proposals(self) -> dict[str, str]:
        """Each model that has a proposal, and what names its content."""
        found = {}
        with contextlib.suppress(FileNotFoundError), os.scandir(self._proposals) as all:
            for item in all:
                model = item.name.removesuffix(".json")
                if model != item.name and is_name(model):
                    state = item.stat()
                    found[model] = f"{state.st_ino}-{state.st_mtime_ns}"
        return found

    def proposal(self, model: str) -> ServingPlan | None:
        """The plan under preparation, which may be left from a deployer that died.

        Raises
        ------
        msgspec.MsgspecError
            If the file is no plan.
        """
        try:
            data = below(self._proposals, f"{model}.json").read_bytes()
        except FileNotFoundError:
            return None
        return from_json(data, ServingPlan)

    def withdraw(self, model: str) -> None:
        """Drop the plan under preparation."""
        below(self._proposals, f"{model}.json").unlink(missing_ok=True)

    def report(self, report: ServerReport) -> None:
        """Write what a server has loaded, while it holds its `ServerLease`."""
        path = below(self._servers, report.server, f"{report.model}.json")
        _write(path, encode(report))

    def reports(self, model: str) -> list[ServerReport | None]:
        """One item per living server: its report on `model`, None if it gave none."""
        found: list[ServerReport | None] = []
        for server in self._living():
            try:
                data = (server / f"{model}.json").read_bytes()
            except FileNotFoundError:
                found.append(None)
                continue
            found.append(from_json(data, ServerReport))
        return found

    def handoff_mark(self, server: str) -> Path:
        """File that exists while `server` takes the requests of its hand-off."""
        return below(self._servers, server) / "handoff"

    def takes_requests(self, host: str) -> bool:
        """Whether a living server on the machine `host` serves behind its hand-off."""
        return any(
            item.name.startswith(f"{host}-") and self.handoff_mark(item.name).exists()
            for item in self._living()
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
        return [
            item
            for item in self._all()
            if item.is_dir() and is_name(item.name) and not is_locked(item / "lease")
        ]

    def _living(self) -> Iterator[Path]:
        return (item for item in self._all() if is_locked(item / "lease"))

    def _all(self) -> list[Path]:
        return sorted(self._servers.iterdir()) if self._servers.is_dir() else []


class ServerLease:
    """A server's sign of life: a lock that the system drops when the process dies."""

    def __init__(self, home: Path, server: str) -> None:
        self._directory = below(home / "servers", server)
        self._directory.mkdir(parents=True, exist_ok=True)
        # Locked before it has its name: who checks it, for which a lock is needed too,
        # never finds it unlocked and never locks it before us.
        temporary = self._directory / f"{TEMPORARY}{uuid.uuid4().hex}-lease"
        self._stream = temporary.open("xb")
        fcntl.flock(self._stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.replace(temporary, self._directory / "lease")

    def release(self) -> None:
        """Give the lease back."""
        self._stream.close()

    def remove(self) -> None:
        """Give the lease back, and remove every report."""
        self.release()
        shutil.rmtree(self._directory, ignore_errors=True)


def rendezvous() -> Rendezvous:
    """That of this machine, below the home directory."""
    return Rendezvous(home())


def _write(target: Path, data: bytes) -> None:
    """Replace a file that means nothing after a power cut, so that none is awaited."""
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f"{TEMPORARY}{uuid.uuid4().hex}-{target.name}")
    try:
        temporary.write_bytes(data)
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)
