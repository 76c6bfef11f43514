"""Runs in a pod of the cluster: rolls out a plan that its servers will refuse.

The preflight in the deployer's own process is left out, so that the refusal is that of
the pods. Ends with 0 when the target raised it and undid the rollout.
"""

import sys

import msgspec

from ml_assets.state.plans import Plans
from ml_assets.targets import RolloutError, configured_target, kubernetes
from ml_assets_tests.kits.plans import apply


def main(model):
    kubernetes.preflight = lambda root, arm, timeout: None
    chosen = configured_target()
    with chosen.lock(model):
        before = Plans().current(model)
        files = {name: "0" * 64 for name in before.live.files}
        arm = msgspec.structs.replace(before.live, files=files)
        plan = msgspec.structs.replace(
            before, arms=(arm,), generation=before.generation + 1, reason="broken"
        )
        try:
            apply(chosen, plan)
        except RolloutError as error:
            print(error, flush=True)
            is_back = "run the former template" in str(error)
            return 0 if is_back and Plans().current(model) == before else 1
    print("the broken plan became active", flush=True)
    return 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
