"""A small client of the Kubernetes API: Deployments, and why their rollouts fail.

`connect` says which cluster and who asks, `Cluster` sends requests, `Deployment` reads
and changes one Deployment, and `roll` brings one to a changed pod template and back to
the former one if that fails.
"""

from ml_assets.resources.clusters.annotations import annotate, annotation
from ml_assets.resources.clusters.api import Cluster
from ml_assets.resources.clusters.connection import Connection, connect
from ml_assets.resources.clusters.deployment import Deployment, Edit, Object
from ml_assets.resources.clusters.errors import (
    ClusterError,
    ConflictError,
    OvertakenError,
    RollError,
)
from ml_assets.resources.clusters.roll import roll

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
    "annotate",
    "annotation",
    "connect",
    "roll",
]
