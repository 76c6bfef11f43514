"""A session with one environment, in which nobody else changes it."""

import contextlib
import datetime as dt
from collections.abc import Iterator
from typing import NamedTuple

from ml_assets.delivery import environments
from ml_assets.delivery.attempts import Attempt, Attempts, Purpose
from ml_assets.delivery.environments import Settings
from ml_assets.delivery.release_ledger import Environment
from ml_assets.delivery.releases import Release
from ml_assets.delivery.rollout import Fleet
from ml_assets.spec.reserved import RELEASE
from ml_assets.state.ledger import Ledger
from ml_assets.state.locks import deployer_lock


class DeliveryRequest(NamedTuple):
    """A release that somebody wants in an environment.

    Attributes
    ----------
    key : str
        Unique for what is asked: of several runs with it, one has an effect.
    """

    release: Release
    purpose: Purpose
    key: str
    who: str
    why: str
    run_id: str | None


class EnvironmentSession(NamedTuple):
    """One environment, while its lock is ours."""

    settings: Settings
    fleet: Fleet
    attempts: Attempts
    ledger: Ledger

    def begin(self, request: DeliveryRequest) -> Attempt:
        """Write a new attempt down."""
        newest, running = self.attempts.newest(), self.fleet.running()
        release, code_location = request.release, self.settings.deployment
        images = release.images
        wanted = {
            name: image
            for name in running
            # Before the first release there may have been no model server.
            if (image := images["base" if name == code_location else "production"])
        }
        attempt = Attempt(
            number=newest.number + 1 if newest else 1,
            environment=self.settings.name,
            purpose=request.purpose,
            key=request.key,
            digest=release.digest,
            name=release.name,
            commit=release.commit,
            images=images,
            wanted=wanted,
            before={**running, **self._known_good(newest, running)},
            who=request.who,
            why=request.why,
            run_id=request.run_id,
            began_at=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        )
        self.attempts.create(attempt)
        return attempt

    def _known_good(
        self, newest: Attempt | None, running: dict[str, str]
    ) -> dict[str, str]:
        """What to return to where the last attempt was not reverted as a whole."""
        ended = self.ledger.find(RELEASE, newest.key) if newest else None
        if newest is None or ended is None or ended.evidence.get("returned", True):
            return {}
        return {name: newest.before.get(name, running[name]) for name in running}


@contextlib.contextmanager
def acquire(name: Environment) -> Iterator[EnvironmentSession]:
    """Lock the environment `name`, as soon as nobody else changes it.

    Raises
    ------
    SettingsError
        If variables that describe it are missing.
    LockError
        If somebody else has it for too long, or the lock is lost meanwhile.
    """
    settings, cluster = environments.settings(name), environments.cluster(name)
    attempts = Attempts(name)
    with deployer_lock(f"release/{name}") as require_lock:
        fleet = Fleet(
            cluster,
            settings.deployment,
            environments.models(),
            settings.patience,
            require_lock,
        )
        yield EnvironmentSession(settings, fleet, attempts, Ledger())
