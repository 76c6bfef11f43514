"""What the containers of a Deployment that are not ready have logged."""

from collections.abc import Iterator

import msgspec

from ml_assets.core.decoding import from_json
from ml_assets.targets.clusters.api import Object
from ml_assets.targets.clusters.connection import ClusterError
from ml_assets.targets.clusters.deployment import Deployment
from ml_assets.targets.clusters.reasons import MAX_PODS, unready_pods

TAIL_LINES = 50


def lines_of_unready(deployment: Deployment, found: Object) -> Iterator[Object]:
    """The JSON objects in the last lines of each pod that is not ready, newest first.

    Of pods of the template in `found`, what was read of `deployment`, and of the
    container that comes first there. A log that cannot be read, as before its container
    has started, has no lines.
    """
    cluster = deployment.cluster
    container = found["spec"]["template"]["spec"]["containers"][0]["name"]
    for pod in unready_pods(cluster, found)[:MAX_PODS]:
        try:
            text = cluster.log(pod["metadata"]["name"], container, TAIL_LINES)
        except ClusterError:
            continue
        for line in reversed(text.splitlines()):
            try:
                yield from_json(line, Object)
            except msgspec.DecodeError:
                # Somebody else's line, or the first, of which a part was cut off.
                continue
