"""How the CSV is written that a version learnt from."""

from typing import TYPE_CHECKING

from ml_assets.core.storage import read_json, storage_root
from ml_assets.state.versions import VersionStore

if TYPE_CHECKING:
    from ml_assets.spec.csv_format import CsvFormat


def layout_of(model: str, version: str) -> "CsvFormat | None":
    """``source.read`` of a version; None where none is known here."""
    directory = VersionStore(storage_root()).directory(model, version)
    configuration = read_json(directory / "spec.json") or {}
    given = configuration.get("source", {}).get("read")
    if given is None:
        return None
    from ml_assets.spec.csv_format import CsvFormat

    return CsvFormat.model_validate(given)
