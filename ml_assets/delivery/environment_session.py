"""An environment that is ours to change for a while."""

import contextlib
import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from ml_assets.delivery import environments
from ml_assets.delivery.environments import Settings
from ml_assets.delivery.history import Environment
from ml_assets.delivery.images import Image
from ml_assets.delivery.records import Attempt, AttemptStore, Purpose
from ml_assets.delivery.rollout import Fleet
from ml_assets.records.ledger_entry import Entry
from ml_assets.spec.reserved import RELEASE
from ml_assets.state.ledger import Ledger
from ml_assets.state.locks import deployer_lock


class Order(NamedTuple):
    """What is asked for.

    Attributes
    ----------
    key : str
        Unique for what is asked: of several runs with it, one has an effect.
    """

    image: Image
    purpose: Purpose
    key: str
    who: str
    why: str
    run_id: str | None


class Place(NamedTuple):
    """One environment, while its lock is held."""

    settings: Settings
    fleet: Fleet
    attempts: AttemptStore
    ledger: Ledger

    @property
    def name(self) -> Environment:
        """Of the environment."""
        return self.settings.name

    def entries(self) -> list[Entry]:
        """Every entry on releases, oldest first."""
        return self.ledger.entries(RELEASE)

    def unended(self) -> Attempt | None:
        """The newest attempt, if the ledger does not tell how it ended."""
        newest = self.attempts.newest()
        if newest is None or self.ledger.find(RELEASE, newest.key) is not None:
            return None
        return newest

    def begin(self, order: Order) -> Attempt:
        """Write a new attempt down."""
        newest, running = self.attempts.newest(), self.fleet.running()
        own = self.settings.deployment
        images = order.image.images
        wanted = {
            name: image
            for name in running
            # Before the first release there may have been no model server.
            if (image := images["base" if name == own else "production"])
        }
        attempt = Attempt(
            number=newest.number + 1 if newest else 1,
            environment=self.name,
            purpose=order.purpose,
            key=order.key,
            digest=order.image.digest,
            name=order.image.name,
            commit=order.image.commit,
            images=images,
            wanted=wanted,
            before={**running, **self._known_good(newest, running)},
            who=order.who,
            why=order.why,
            run_id=order.run_id,
            began_at=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        )
        self.attempts.create(attempt)
        return attempt

    def _known_good(
        self, newest: Attempt | None, running: dict[str, str]
    ) -> dict[str, str]:
        """What to return to where the last attempt was not taken back as a whole."""
        ended = self.ledger.find(RELEASE, newest.key) if newest else None
        if newest is None or ended is None or ended.evidence.get("returned", True):
            return {}
        return {name: newest.before.get(name, running[name]) for name in running}


@contextlib.contextmanager
def taken(root: Path, name: Environment) -> Iterator[Place]:
    """Take the environment `name`, as soon as nobody else changes it.

    Raises
    ------
    SettingsError
        If variables that describe it are missing.
    LockError
        If somebody else has it for too long, or the lock is lost meanwhile.
    """
    found, cluster = environments.settings(name), environments.cluster(name)
    attempts = AttemptStore(root, name)
    with deployer_lock(f"release/{name}", attempts.lock_path) as held:
        models, own = environments.models(), found.deployment
        fleet = Fleet(root, cluster, own, models, found.patience, held)
        yield Place(found, fleet, attempts, Ledger(root))
