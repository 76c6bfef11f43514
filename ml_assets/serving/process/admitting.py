"""Sets up who is answered, as the settings say: everybody, or callers with a key."""

import contextlib
import logging
import sys
from collections.abc import Iterator
from pathlib import Path

from ml_assets.serving.access import keys
from ml_assets.serving.access.followed_keys import FollowedKeys
from ml_assets.serving.http.admission import Admission
from ml_assets.serving.http.app import ModelServer
from ml_assets.serving.logs import log
from ml_assets.serving.settings import ServerSettings


def require_keys(settings: ServerSettings) -> None:
    """End the process with 1 if the file of keys is set and cannot be used."""
    if not settings.keys_file:
        return
    with _ending():
        keys.read(Path(settings.keys_file))


@contextlib.contextmanager
def admitting(app: ModelServer) -> Iterator[None]:
    """Let `app` answer those alone that the file of keys names, if there is one."""
    if not app.settings.keys_file:
        log("every caller is answered: ML_ASSETS_KEYS_FILE names no file of API keys")
        yield
        return
    with _ending():
        followed = FollowedKeys(Path(app.settings.keys_file), app.metrics.callers)
    app.admission = Admission(followed, app.metrics)
    log("callers need an API key", file=app.settings.keys_file)
    followed.start()
    try:
        yield
    finally:
        followed.stop()


@contextlib.contextmanager
def _ending() -> Iterator[None]:
    try:
        yield
    except keys.KeyFileError as error:
        log("the API keys cannot be used", logging.ERROR, reason=str(error))
        sys.exit(1)
