"""Files of API keys, and the headers that carry a key."""

import hashlib
import json
from pathlib import Path
from typing import Any

from ml_assets.serving.access.followed_keys import FollowedKeys
from ml_assets.serving.http.admission import Admission
from ml_assets.serving.http.app import ModelServer


def key(id_: str, secret: str = "secret", **changes: Any) -> dict[str, Any]:
    """A key as the file has it, that may do everything unless changed."""
    sha256 = hashlib.sha256(secret.encode()).hexdigest()
    return {"id": id_, "sha256": sha256, "models": ["*"], "routes": ["admin"]} | changes


def write_keys(file: Path, *keys: dict[str, Any], **more: Any) -> Path:
    """Write a file of `keys`, and of what is answered without one."""
    file.write_text(json.dumps({"keys": keys, **more}))
    return file


def bearer(credential: str) -> dict[str, str]:
    return {"authorization": f"Bearer {credential}"}


def guard(app: ModelServer, file: Path) -> FollowedKeys:
    """Let `app` answer only those that the file names; follow it by hand."""
    followed = FollowedKeys(file, app.metrics.callers)
    app.admission = Admission(followed, app.metrics)
    return followed
