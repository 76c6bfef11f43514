"""Load one arm and score its probe rows, in a process that may crash.

``python -m ml_assets.serving.models.preflight STORAGE`` reads the arm as JSON from its
standard input. It ends with 0 when the arm may take traffic; with 1 when it must not,
and with 2 when the storage did not answer. The reason is a line on standard error.
"""

import sys

from ml_assets.core.decoding import from_json
from ml_assets.core.digests import BundleError
from ml_assets.core.storage import Storage, StorageUnavailableError
from ml_assets.records.plan import Arm
from ml_assets.serving.models.bundle import load_runtime
from ml_assets.serving.models.bundle_cache import fetch

UNREACHABLE = 2


def main() -> int:
    """Run the check; the process's exit code."""
    try:
        arm = from_json(sys.stdin.buffer.read(), Arm)
        load_runtime(fetch(Storage(sys.argv[1]), arm), arm.files)
    except StorageUnavailableError as error:
        print(error, file=sys.stderr)
        return UNREACHABLE
    except BundleError as error:
        print(error, file=sys.stderr)
    except Exception as error:
        # Whatever a bundle does to the loader, the deployer gets one line.
        text = " ".join(str(error).split())
        print(f"{type(error).__name__}: {text}", file=sys.stderr)
    else:
        return 0
    return 1


if __name__ == "__main__":
    sys.exit(main())
