"""Runs in a pod of the cluster: takes a model out of service."""

import sys

from ml_assets.lifecycle.retirement import retire
from ml_assets.targets import configured_target

if __name__ == "__main__":
    print(retire(configured_target(), sys.argv[1], "e2e", "asked for").outcome)
