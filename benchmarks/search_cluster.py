"""A Ray cluster on this machine for benchmarks and tests: a head and two workers.

    python -m benchmarks.search_cluster PORT

Prints the cluster's address once it is up and ends with its standard input. A client
connects to ``ray://127.0.0.1:PORT``. Of one processor each, the workers are the only
places where anything runs, as on a cluster.
"""

import os
import sys
from pathlib import Path

WORKERS = 2


def main() -> None:
    """Start it, wait, and stop it."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    from ray.cluster_utils import Cluster

    # Ray notes its newest cluster here, and does not make the directory.
    Path("/tmp/ray").mkdir(exist_ok=True)  # nosec B108 - Ray's own choice
    head = {
        "num_cpus": 0,
        "include_dashboard": False,
        "ray_client_server_port": int(sys.argv[1]),
    }
    cluster = Cluster(initialize_head=True, head_node_args=head)
    for _ in range(WORKERS):
        cluster.add_node(num_cpus=1)
    print(cluster.address, flush=True)
    sys.stdin.read()
    cluster.shutdown()


if __name__ == "__main__":
    main()
