"""A version is tried in a process of its own before a server sees it."""

import subprocess  # nosec B404 # runs this interpreter with fixed arguments only
import sys
from pathlib import Path

from ml_assets.records.plan import Arm, encode
from ml_assets.targets import RolloutError


def try_arm(root: Path, arm: Arm, timeout: float) -> None:
    """Load the arm and score its probe rows where a crash harms nobody.

    Raises
    ------
    RolloutError
        If it does not load within `timeout` seconds, crashes, or answers otherwise
        than at training.
    """
    try:
        done = subprocess.run(  # nosec B603 # fixed arguments
            [sys.executable, "-m", "ml_assets.serving.models.preflight", str(root)],
            input=encode(arm),
            capture_output=True,
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise RolloutError(
            f"version {arm.version} did not load within {timeout:g} s"
        ) from None
    if done.returncode < 0:
        raise RolloutError(
            f"version {arm.version} crashed while loading (signal {-done.returncode})"
        )
    if done.returncode:
        # What it logged on the way stands above.
        told = done.stderr.decode(errors="replace").strip().splitlines()
        reason = told[-1] if told else f"exit status {done.returncode}"
        raise RolloutError(f"version {arm.version} was refused: {reason}")
