"""A release on its way into staging: each digest is tried once."""

from pathlib import Path

from ml_assets.delivery import checks
from ml_assets.delivery.delivery import Delivered, deliver
from ml_assets.delivery.environment_session import Order, taken
from ml_assets.delivery.history import STAGING, staging_verdicts
from ml_assets.delivery.images import Image
from ml_assets.delivery.refusals import DoneError


def stage(
    root: Path, image: Image, who: str, run_id: str, again: bool = False
) -> Delivered:
    """Deploy a release in staging and check it; else what ran before runs again.

    Parameters
    ----------
    again : bool, default=False
        Try one once more that failed, because something else was the cause.

    Raises
    ------
    DoneError
        If it passed before, or it failed before and is not to be tried again.
    """
    with taken(root, STAGING) as place:
        verdicts = staging_verdicts(place.entries(), image.digest)
        if verdicts and not (again and verdicts[-1].kind == "release_failure"):
            raise DoneError(
                f"{image.name} ({image.short}) was tried in staging, entry"
                f" {verdicts[-1].seq}: {verdicts[-1].why}",
                verdicts[-1],
            )
        order = Order(
            image=image,
            purpose="release",
            key=f"{STAGING}:{image.digest}:{len(verdicts)}",
            who=who,
            why=f"{image.name} points at it; commit {image.commit[:12]}",
            run_id=run_id,
        )
        return deliver(place, order, checks.run)
