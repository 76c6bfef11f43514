"""Score logged requests with another version, in a process that may crash.

``python -m ml_assets.lifecycle.replay BUNDLE ROWS`` reads the arm as JSON from standard
input and the bodies of requests from the file ``ROWS``, one a line. For each it prints
a line of JSON: the answer and the microseconds it took, or why the version refused the
row. The lines before a crash show which request crashed it.
"""

import subprocess  # nosec B404 # runs this interpreter with fixed arguments only
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from ml_assets.core.decoding import from_json
from ml_assets.prediction_log.segments import label_text
from ml_assets.records.plan import Arm, encode

if TYPE_CHECKING:
    from ml_assets.serving.requests.decoder import RowDecoder
    from ml_assets.serving.runtime import Runtime


class Answer(msgspec.Struct, frozen=True, omit_defaults=True):
    """The answer of the version to one request.

    ``p`` and ``label`` are as the log has them, or ``value`` is that of a regression.
    ``misfit`` is why the row does not fit its request schema, ``error`` what it raised.
    """

    p: float | None = None
    label: str | None = None
    value: float | None = None
    us: int = 0
    misfit: str | None = None
    error: str | None = None

    @property
    def number(self) -> float | None:
        """The probability or the value; None where there is no answer."""
        return self.p if self.value is None else self.value


class Replayed(NamedTuple):
    """Answers in the order of the requests, as far as they go, and how it ended."""

    answers: list[Answer]
    crash: str


def replay(
    bundle: Path, arm: Arm, bodies: Sequence[bytes], timeout: float = 600.0
) -> Replayed:
    """Score requests with `arm`.

    Parameters
    ----------
    bundle : Path
        Its files, on this machine.
    arm : Arm
        The version.
    bodies : sequence of bytes
        Of requests with one row each.
    timeout : float
        Seconds for all of them.
    """
    with tempfile.NamedTemporaryFile() as rows:
        rows.write(b"".join(body + b"\n" for body in bodies))
        rows.flush()
        command = [
            sys.executable,
            "-m",
            "ml_assets.lifecycle.replay",
            str(bundle),
            rows.name,
        ]
        try:
            done = subprocess.run(  # nosec B603 # fixed arguments
                command,
                input=encode(arm),
                capture_output=True,
                timeout=timeout,
                check=False,
            )
        except subprocess.TimeoutExpired as late:
            return Replayed(_parsed(late.stdout), f"not done within {timeout:g} s")
    crash = ""
    if done.returncode < 0:
        crash = f"the process died of signal {-done.returncode}"
    elif done.returncode:
        crash = done.stderr.decode(errors="replace").strip()
    return Replayed(_parsed(done.stdout), crash)


def _parsed(output: bytes | None) -> list[Answer]:
    lines = (output or b"").split(b"\n")[:-1]
    return [from_json(line, Answer) for line in lines]


def main() -> int:
    """Score every request; the process's exit code."""
    from ml_assets.core.digests import BundleError
    from ml_assets.serving.models.bundle import load_runtime
    from ml_assets.serving.requests.decoder import RowDecoder

    bundle, rows = Path(sys.argv[1]), Path(sys.argv[2])
    arm = from_json(sys.stdin.buffer.read(), Arm)
    try:
        runtime = load_runtime(bundle, arm.files)
    except BundleError as error:
        print(error, file=sys.stderr)
        return 1
    decoder = RowDecoder(runtime.signature, max_rows=1)
    with rows.open("rb") as stream:
        for body in stream:
            answer = _answered(runtime, decoder, body)
            sys.stdout.buffer.write(msgspec.json.encode(answer) + b"\n")
            # The next row may be the one that ends the process.
            sys.stdout.buffer.flush()
    return 0


def _answered(runtime: "Runtime", decoder: "RowDecoder", body: bytes) -> Answer:
    from ml_assets.serving.requests.problems import Problem
    from ml_assets.serving.runtime import Refused
    from ml_assets.serving.tasks import answers_of

    started = time.perf_counter_ns()
    try:
        row = decoder.decode(body).row
        task = answers_of(runtime.signature)
        given = task.columns([task.checked_one(runtime.predict_one(row or ()))])
    except (Problem, Refused) as refusal:
        return Answer(misfit=str(refusal))
    except Exception as error:
        # Whatever it raises is a finding about the version and ends no replay.
        return Answer(error=f"{type(error).__name__}: {error}")
    us = (time.perf_counter_ns() - started) // 1_000
    if "value" in given:
        return Answer(value=given["value"][0], us=us)
    label = label_text(given["label"][0])
    return Answer(p=given["probability"][0], label=label, us=us)


if __name__ == "__main__":
    sys.exit(main())
