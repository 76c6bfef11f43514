"""The verified files of a version in the storage, and the request schema in them."""

from pathlib import Path

from ml_assets.core.digests import verify_bundle
from ml_assets.core.files import atomic_path, locked, storage_root
from ml_assets.prediction_log.reader import signature_of
from ml_assets.records.plan import Signature
from ml_assets.state.plans import Plans
from ml_assets.state.registry import Registry
from ml_assets.state.versions import VersionRecord, VersionStore


def fetch_bundle(record: VersionRecord) -> Path:
    """Directory of the version's bundle in the storage, each file as recorded.

    Raises
    ------
    BundleError
        If a file is missing, altered, truncated or surplus.
    RegistryError
        If the bundle is not here yet and the registry cannot be reached.
    """
    directory = storage_root() / record.bundle
    # Of two that fetch at once, the second finds the files of the first.
    with locked(directory.parent / ".lock"):
        if not directory.exists():
            with atomic_path(directory) as temporary:
                Registry().fetch(record.registry_uri, temporary)
                verify_bundle(temporary, record.files)
    verify_bundle(directory, record.files)
    return directory


def signature_of_version(record: VersionRecord) -> Signature:
    """The request schema of a version, deployed or not."""
    fetch_bundle(record)
    return signature_of(storage_root(), record.bundle)


def served_signature(model: str) -> Signature | None:
    """The request schema of the version that serves; None where none does."""
    root = storage_root()
    plan = Plans().current(model)
    if plan is None:
        return None
    if not (root / plan.live.bundle).exists():
        fetch_bundle(VersionStore(root).get(model, plan.live.version))
    return signature_of(root, plan.live.bundle)
