"""What made a version, and the names of its objects in the storage."""

from pathlib import Path
from typing import Any

import msgspec

from ml_assets.core.files import below


class VersionRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What made a version: the answer to "where does this model come from?".

    ``files`` is the SHA-256 manifest of the registered bundle; it is kept here, outside
    the registry, so that bytes altered there are noticed before they are loaded.
    ``notes`` lists what training bounded, and what requests may have besides inputs;
    ``folds`` has the metrics over rolling origins, where the YAML asks for them;
    ``user_code`` is the SHA-256 of each package of the project's own that the model is
    made of.
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
    folds: dict[str, Any] = {}
    user_code: dict[str, str] = {}

    @property
    def bundle(self) -> str:
        """Prefix of the objects of its bundle."""
        return object_name(self.model, self.version, "bundle")


def object_name(model: str, version: str, name: str) -> str:
    """An object of a version in the storage, by its name below the version."""
    return f"{below(Path('versions'), model, version)}/{name}"
