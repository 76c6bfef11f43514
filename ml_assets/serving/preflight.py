"""Load one arm and score its probe rows, in a process that may crash.

``python -m ml_assets.serving.preflight ROOT`` reads the arm as JSON from standard input
and ends with 0 when the arm may take traffic; otherwise the reason is on standard error.
"""

import sys
from pathlib import Path

import msgspec

from ml_assets.serving.bundle import BundleError, load_runtime
from ml_assets.serving.plan import Arm


def main() -> int:
    """Run the check; the process's exit code."""
    root = Path(sys.argv[1])
    arm = msgspec.json.decode(sys.stdin.buffer.read(), type=Arm)
    try:
        load_runtime(root / arm.bundle, arm.files)
    except BundleError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
