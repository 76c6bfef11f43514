"""Attempts to change an environment: numbered, and each is written before it begins.

``releases/<environment>/<number>.json`` is created once. Its number is the fence: the
Deployments carry it, and whoever comes with a lower one changes nothing. It holds what
ran before, so that a process that comes after a killed one knows where to return to.

``<number>.failed.json`` is written before the attempt is reverted. A process that finds
it reverts the attempt, and does not try again.
"""

from pathlib import Path
from typing import Any, Literal

import msgspec

from ml_assets.core.files import create_bytes, read_json, write_json
from ml_assets.delivery.errors import ReleaseError
from ml_assets.records.plan import encode

Purpose = Literal["release", "rollback"]


class StaleError(ReleaseError):
    """Somebody else began to change the environment meanwhile."""


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt.

    Attributes
    ----------
    number : int
        From 1, per environment.
    key : str
        That of the ledger entry that will end it.
    digest, name, commit : str
        The release that is deployed.
    images : dict of str to str
        Target to image, of the release.
    wanted, before : dict of str to str
        Deployment to image: what shall run, and what ran before.
    """

    number: int
    environment: str
    purpose: Purpose
    key: str
    digest: str
    name: str
    commit: str
    images: dict[str, str]
    wanted: dict[str, str]
    before: dict[str, str]
    who: str
    why: str
    run_id: str | None
    began_at: str


class AttemptStore:
    """The attempts on one environment, under the storage directory `root`."""

    def __init__(self, root: Path, environment: str) -> None:
        self.directory = root / "releases" / environment

    def newest(self) -> Attempt | None:
        """The attempt with the highest number."""
        numbers = [
            path for path in self.directory.glob("*.json") if path.stem.isdigit()
        ]
        if not numbers:
            return None
        newest = max(numbers, key=lambda path: int(path.stem))
        return msgspec.json.decode(newest.read_bytes(), type=Attempt)

    def create(self, attempt: Attempt) -> None:
        """Make the attempt exist.

        Raises
        ------
        StaleError
            If there is one with its number.
        """
        if not create_bytes(self._path(attempt.number), encode(attempt)):
            raise StaleError(
                f"somebody else began attempt {attempt.number} on"
                f" {attempt.environment}; it was ours to begin"
            )

    def require_newest(self, attempt: Attempt) -> None:
        """Refuse to go on with an attempt that another one has overtaken.

        Raises
        ------
        StaleError
            If there is a newer one.
        """
        newest = self.newest()
        if newest is not None and newest.number != attempt.number:
            raise StaleError(
                f"attempt {attempt.number} on {attempt.environment} was overtaken by"
                f" attempt {newest.number}"
            )

    def note_failure(self, attempt: Attempt, evidence: dict[str, Any]) -> None:
        """Write down that the attempt failed, before anything is reverted."""
        write_json(self._failure(attempt.number), evidence)

    def failure(self, attempt: Attempt) -> dict[str, Any] | None:
        """Why the attempt failed; None where it did not, or not yet."""
        found: dict[str, Any] | None = read_json(self._failure(attempt.number))
        return found

    def _path(self, number: int) -> Path:
        return self.directory / f"{number:08d}.json"

    def _failure(self, number: int) -> Path:
        return self.directory / f"{number:08d}.failed.json"
