"""The verified files of a version, brought from the registry into the storage."""

from pathlib import Path

from ml_assets.core.digests import verify_bundle
from ml_assets.core.storage import atomic_path, locked, storage_root
from ml_assets.state.registry import Registry
from ml_assets.state.versions import VersionRecord


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
