"""State and storage of an installation of before release 0.2, whose state is files.

The old files stay as they are, and whatever was copied is passed over by the next call,
so that it may be interrupted and repeated. Values of the steps of unfinished runs stay
behind: such a run is started anew.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from ml_assets.lifecycle.migration import ledgers, models
from ml_assets.lifecycle.migration.ledgers import MigrationError
from ml_assets.lifecycle.migration.prediction_log import migrate_log

__all__ = ["MigrationError", "Moved", "migrate"]


class Moved(NamedTuple):
    """What the old installation has of one model, or of the platform's releases.

    Attributes
    ----------
    entries, plans : int
        Of its ledger, and those that were active.
    objects : int
        Tables, reports and files of versions.
    copied : int
        Objects, rows, batches and segments of the log that were not there yet.
    """

    model: str
    entries: int
    plans: int
    objects: int
    copied: int


def migrate(source: Path, dry_run: bool = False) -> Iterator[Moved]:
    """Copy every model of the installation under `source`; no server is interrupted.

    Parameters
    ----------
    source : Path
        The old ``ML_ASSETS_STORAGE``. No run may be at work there.
    dry_run : bool, default=False
        Verify and count only.

    Raises
    ------
    MigrationError
        If a ledger does not verify, or the state holds something else of a model. All
        ledgers are verified before the first is copied.
    """
    names = sorted({*ledgers.subjects(source), *models.models(source)})
    if not names:
        raise MigrationError(f"{source} holds no ledger, plan, version or table")
    histories = {name: ledgers.read(source, name) for name in names}
    for model, history in histories.items():
        objects = models.objects(source, model)
        copied = 0
        if not dry_run:
            # In this order: a plan is published when everything it names is there.
            copied = models.copy_objects(objects) + models.copy_rows(source, model)
            copied += migrate_log(source, model)
            copied += ledgers.copy(model, history)
        yield Moved(
            model, len(history.bodies), len(history.plans), len(objects), copied
        )
