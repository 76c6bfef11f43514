"""A small client of the Kubernetes API: Deployments, and why their rollouts fail.

`connect` says which cluster and who asks, `Cluster` sends requests, `Deployment` reads
and changes one Deployment, `bring` waits for a changed pod template, and `roll` returns
to the former one if that fails.
"""

from ml_assets.targets.clusters.annotations import annotate, annotation
from ml_assets.targets.clusters.api import Cluster
from ml_assets.targets.clusters.connection import Connection, connect
from ml_assets.targets.clusters.deployment import Deployment, Edit, Object
from ml_assets.targets.clusters.errors import (
    ClusterError,
    ConflictError,
    OvertakenError,
    RollError,
    StuckError,
)
from ml_assets.targets.clusters.roll import bring, roll

__all__ = [
    "Cluster",
    "ClusterError",
    "ConflictError",
    "Connection",
    "Deployment",
    "Edit",
    "Object",
    "OvertakenError",
    "RollError",
    "StuckError",
    "annotate",
    "annotation",
    "bring",
    "connect",
    "roll",
]
