"""Every trained version of a model: its record, its evaluation and its files.

``versions/<model>/<version>/`` holds ``record.json`` (written last by training: without
it a version does not exist), ``spec.json`` (its configuration), ``validation.json``
(that of its raw data), ``evaluation.json``, ``profile.json`` and ``bundle/``.
"""

import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from ml_assets.core.files import NameFault, below, create_bytes, read_json, write_json
from ml_assets.records.plan import STAMP, encode


class UnknownVersionError(LookupError):
    """No such version of the model."""


class VersionRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What made a version: the answer to "where does this model come from?".

    ``files`` is the SHA-256 manifest of the registered bundle; it is kept here, outside
    the registry, so that bytes altered there are noticed before they are loaded.
    ``notes`` lists what training bounded, and what requests may have besides inputs.
    """

    model: str
    version: str
    files: dict[str, str]
    runtime: str
    runtime_reason: str
    fingerprint: str
    raw_version: str
    features_version: str
    code_version: str
    git_commit: str
    environment: str
    run_id: str
    registry_uri: str
    registry_run: str
    registry_version: str
    estimator: str
    params: dict[str, Any]
    train_rows: int
    test_rows: int
    fit_seconds: float
    origins: dict[str, str] = {}
    search: dict[str, Any] = {}
    notes: list[str] = []

    @property
    def bundle(self) -> str:
        """Directory of the verified files, below the storage root."""
        return f"versions/{self.model}/{self.version}/bundle"


class VersionStore:
    """Version records under the storage directory `root`."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def directory(self, model: str, version: str) -> Path:
        """Where everything of one version is kept."""
        return below(self.root / "versions", model, version)

    def reserve(
        self,
        model: str,
        owner: str,
        now: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC),
    ) -> str:
        """Take a version name that nobody else has: the UTC time, to the second.

        Of two trainings in one second, the later takes the next free second.
        """
        moment = now()
        while True:
            version = moment.strftime(STAMP)
            path = self.directory(model, version) / "reserved"
            if create_bytes(path, owner.encode()):
                return version
            moment += dt.timedelta(seconds=1)

    def save(self, record: VersionRecord) -> None:
        """Make the version exist."""
        path = self.directory(record.model, record.version) / "record.json"
        if not create_bytes(path, encode(record)):
            raise FileExistsError(
                f"version {record.version} of {record.model} already has a record"
            )

    def names(self, model: str) -> list[str]:
        """Versions of `model` that exist, oldest first."""
        directory = below(self.root / "versions", model)
        return sorted(item.parent.name for item in directory.glob("*/record.json"))

    def models(self) -> list[str]:
        """Models that have a version."""
        records = (self.root / "versions").glob("*/*/record.json")
        return sorted({item.parent.parent.name for item in records})

    def get(self, model: str, version: str) -> VersionRecord:
        """The record of one version."""
        try:
            path = self.directory(model, version) / "record.json"
            return msgspec.json.decode(path.read_bytes(), type=VersionRecord)
        except (FileNotFoundError, NameFault):
            known = ", ".join(self.names(model)[-5:]) or "none"
            raise UnknownVersionError(
                f"model {model} has no version {ascii(version)[1:-1]}; its latest are:"
                f" {known}"
            ) from None

    def records(self, model: str) -> list[VersionRecord]:
        """Every version of `model`, oldest first."""
        return [self.get(model, name) for name in self.names(model)]

    def profile_path(self, model: str, version: str) -> Path:
        """The reference profile of a version; deploying it writes this file last."""
        return self.directory(model, version) / "profile.json"

    def save_evaluation(self, model: str, version: str, evaluation: Any) -> None:
        """Keep the figures of a version and the gate's decision on it."""
        write_json(self.directory(model, version) / "evaluation.json", evaluation)

    def evaluation(self, model: str, version: str) -> dict[str, Any] | None:
        """Figures and gate decision of a version; None where it was not evaluated."""
        found: dict[str, Any] | None = read_json(
            self.directory(model, version) / "evaluation.json"
        )
        return found
