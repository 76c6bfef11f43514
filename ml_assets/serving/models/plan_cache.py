"""The plans that servers of this machine have served, for when the storage is away."""

import hashlib
import os
import uuid
from logging import WARNING
from pathlib import Path

import msgspec

from ml_assets.core.decoding import from_json
from ml_assets.core.files import TEMPORARY, below, is_name
from ml_assets.records.plan import ServingPlan
from ml_assets.serving.logs import log


class CachedPlan(msgspec.Struct, frozen=True):
    """A plan, and the tag that its object had in the storage."""

    plan: ServingPlan
    tag: str | None = None


class PlanCache:
    """The plans of one storage in a directory of this machine.

    Parameters
    ----------
    directory : Path
        That of the cache, for any number of processes and storages.
    url : str
        The storage: what another one had says nothing about this one.
    """

    def __init__(self, directory: Path, url: str) -> None:
        name = hashlib.sha256(url.encode()).hexdigest()[:12]
        self._directory = directory / "plans" / name

    def models(self) -> list[str]:
        """Models of which an active plan is kept."""
        try:
            found = os.listdir(self._directory)
        except FileNotFoundError:
            return []
        return sorted(filter(is_name, found))

    def get(self, model: str, key: str = "active") -> CachedPlan | None:
        """The plan that was kept under `key`: a pin, or the one that was active."""
        path = self._path(model, key)
        try:
            return from_json(path.read_bytes(), CachedPlan)
        except FileNotFoundError:
            return None
        except (OSError, msgspec.MsgspecError) as error:
            log("a cached plan is not used", WARNING, model=model, reason=str(error))
            return None

    def keep(self, model: str, plan: CachedPlan, key: str = "active") -> None:
        """Keep a plan; what cannot be written is only missed at a restart."""
        path = self._path(model, key)
        temporary = path.with_name(f"{TEMPORARY}{uuid.uuid4().hex}-{path.name}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_bytes(msgspec.json.encode(plan))
            os.replace(temporary, path)
        except OSError as error:
            log("a plan is not cached", WARNING, model=model, reason=str(error))

    def _path(self, model: str, key: str) -> Path:
        return below(self._directory, model, f"{key}.json")
