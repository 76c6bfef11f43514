"""The verified files of a version on this machine, and the request schema in them."""

import hashlib
import tempfile
from pathlib import Path
from typing import Any

from ml_assets.core.decoding import from_json
from ml_assets.core.digests import BundleError, digest_of, verify_bundle
from ml_assets.core.storage import storage
from ml_assets.records.plan import Signature
from ml_assets.records.version import VersionRecord
from ml_assets.serving.models.bundle_cache import (
    Bundle,
    MissingBundleError,
    fetch,
    trim,
)
from ml_assets.state.plans import Plans
from ml_assets.state.registry import Registry

SIGNATURE = "signature.json"


def store_bundle(record: VersionRecord) -> None:
    """See to it that the storage has the bundle of a version, for servers to fetch.

    Raises
    ------
    BundleError
        If a file in the storage, or what the registry has, is not what was trained.
    RegistryError
        If something is missing in the storage and the registry cannot be reached.
    """
    for name, expected in record.files.items():
        item = f"{record.bundle}/{name}"
        found = digest_of(storage(), item)
        if found is None:
            break
        if found != expected:
            raise BundleError(
                f"{storage().url}/{item} was altered: its SHA-256 is {found}, expected"
                f" {expected}"
            )
    else:
        return
    with tempfile.TemporaryDirectory() as scratch:
        directory = Path(scratch) / "bundle"
        Registry().fetch(record.registry_uri, directory)
        verify_bundle(directory, record.files)
        upload_bundle(record.bundle, directory)


def upload_bundle(prefix: str, directory: Path) -> None:
    """Write every file of a bundle to the storage, below `prefix`."""
    for path in sorted(directory.rglob("*")):
        if path.is_file():
            name = path.relative_to(directory).as_posix()
            storage().upload(f"{prefix}/{name}", path)


def fetch_bundle(record: VersionRecord) -> Path:
    """Directory of the version's bundle on this machine, each file as recorded.

    Raises
    ------
    BundleError
        If a file is missing or altered.
    RegistryError
        If it is not in the storage and the registry cannot be reached.
    """
    try:
        found = fetch(storage(), record)
    except MissingBundleError:
        store_bundle(record)
        found = fetch(storage(), record)
    trim()
    return found


def signature_of_version(record: VersionRecord) -> Signature:
    """The request schema of a version, deployed or not."""
    if storage().size(f"{record.bundle}/{SIGNATURE}") is None:
        store_bundle(record)
    return signature_of(record)


def served_signature(model: str) -> Signature | None:
    """The request schema of the version that serves; None where none does."""
    plan = Plans().current(model)
    return None if plan is None else signature_of(plan.live)


def signature_of(bundle: Bundle) -> Signature:
    """The request schema in a bundle.

    Raises
    ------
    BundleError
        If it is missing or altered.
    """
    found: Signature = read_file(bundle, SIGNATURE, Signature)
    return found


def read_file(bundle: Bundle, name: str, kind: type[Any]) -> Any:
    """One JSON file of a bundle, read from the storage and verified.

    Raises
    ------
    BundleError
        If it is missing or altered.
    """
    item = f"{storage().url}/{bundle.bundle}/{name}"
    data = storage().get(f"{bundle.bundle}/{name}")
    if data is None:
        raise BundleError(f"{item} is missing")
    found, expected = hashlib.sha256(data).hexdigest(), bundle.files.get(name)
    if found != expected:
        raise BundleError(
            f"{item} was altered: its SHA-256 is {found}, expected {expected}"
        )
    return from_json(data, kind)
