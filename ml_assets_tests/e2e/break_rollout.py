"""Runs in a pod of the cluster: rolls out a plan that its servers will refuse.

The preflight in the deployer's own process is left out, so that the refusal is that of
the pods. Ends with 0 when the target raised it and undid the rollout.
"""

import sys

import msgspec

from ml_assets.state import plans
from ml_assets.state.engine import writing
from ml_assets.targets import RolloutError, configured_target, kubernetes


def commit(plan):
    with writing(plan.model) as connection:
        plans.commit(connection, plan)
    plans.publish(plan.model)


def main(model):
    kubernetes.preflight = lambda arm, timeout: None
    chosen = configured_target()
    with chosen.lock(model):
        before = plans.Plans().current(model)
        files = {name: "0" * 64 for name in before.live.files}
        arm = msgspec.structs.replace(before.live, files=files)
        plan = msgspec.structs.replace(
            before, arms=(arm,), generation=before.generation + 1, reason="broken"
        )
        try:
            chosen.apply(plan, lambda: commit(plan))
        except RolloutError as error:
            print(error, flush=True)
            is_back = "run the former template" in str(error)
            return 0 if is_back and plans.Plans().current(model) == before else 1
    print("the broken plan became active", flush=True)
    return 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
