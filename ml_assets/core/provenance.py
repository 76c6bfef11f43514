"""What code and what environment made a version."""

import functools
import hashlib
import importlib.metadata
import os
import platform
import subprocess  # nosec B404 # runs git with fixed arguments only
from pathlib import Path

from pydantic import BaseModel

PACKAGE = Path(__file__).parents[1]


def fingerprint(*parts: str) -> str:
    """SHA-256 over an ordered list of texts, as 64 hexadecimal digits."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "big") + part.encode())
    return digest.hexdigest()


def spec_hash(spec: BaseModel, *fields: str) -> str:
    """Hash of the named fields of a spec, all of them where none is named."""
    return fingerprint(spec.model_dump_json(include=set(fields) or None))


@functools.cache
def code_hash() -> str:
    """Hash of the code that turns data into a version: every module of ``ml``."""
    sources = sorted((PACKAGE / "ml").rglob("*.py"))
    return fingerprint(*(path.read_text(encoding="utf-8") for path in sources))


@functools.cache
def environment() -> str:
    """Hash of the interpreter and of every installed distribution with its version."""
    installed = {
        f"{item.name}=={item.version}" for item in importlib.metadata.distributions()
    }
    return fingerprint(platform.python_version(), *sorted(installed))


@functools.cache
def git_commit() -> str:
    """Commit of the code: ``ML_ASSETS_GIT_COMMIT``, else git's, else ``unknown``."""
    given = os.environ.get("ML_ASSETS_GIT_COMMIT")
    if given:
        return given
    command = ["git", "-C", str(PACKAGE), "rev-parse", "HEAD"]
    try:
        found = subprocess.run(  # nosec B603 # fixed arguments
            command, capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return found.stdout.strip()
