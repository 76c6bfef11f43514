"""Deployments of a cluster: rolled out, undone, and why their rollouts fail.

`connect` finds the cluster and the credentials, `Cluster` asks it through the official
client, `Deployment` reads and changes one Deployment, `roll_out` waits for a changed
pod template, and `roll_out_or_undo` returns to the former one if that fails.
"""

from ml_assets.targets.clusters.api import Cluster, ConflictError, Object
from ml_assets.targets.clusters.connection import ClusterError, Connection, connect
from ml_assets.targets.clusters.deployment import (
    Deployment,
    Edit,
    annotate,
    annotation,
)
from ml_assets.targets.clusters.pod_logs import lines_of_unready
from ml_assets.targets.clusters.rollout import (
    FailedRolloutError,
    roll_out,
    roll_out_or_undo,
)
from ml_assets.targets.clusters.rollout_status import (
    Check,
    OvertakenError,
    StuckError,
)

__all__ = [
    "Check",
    "Cluster",
    "ClusterError",
    "ConflictError",
    "Connection",
    "Deployment",
    "Edit",
    "FailedRolloutError",
    "Object",
    "OvertakenError",
    "StuckError",
    "annotate",
    "annotation",
    "connect",
    "lines_of_unready",
    "roll_out",
    "roll_out_or_undo",
]
