"""The HEALTHCHECK of the images: exit 0 when the service answers as it should.

``healthcheck.py http URL`` wants status 200; ``healthcheck.py grpc ADDRESS`` wants the
standard health service to say SERVING for the Dagster code location.
"""

import sys
import urllib.request

TIMEOUT_SECONDS = 5


def check_http(url: str) -> None:
    """Raise unless `url` answers 200; redirects and proxies are not followed."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=TIMEOUT_SECONDS) as response:
        if response.status != 200:
            raise RuntimeError(f"{url} answered {response.status}, expected 200")


def check_grpc(address: str) -> None:
    """Raise unless the gRPC server at `address` says SERVING."""
    import grpc
    from grpc_health.v1 import health_pb2, health_pb2_grpc

    with grpc.insecure_channel(address) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        request = health_pb2.HealthCheckRequest(service="DagsterApi")
        status = health.Check(request, timeout=TIMEOUT_SECONDS).status
    if status != health_pb2.HealthCheckResponse.SERVING:
        raise RuntimeError(f"{address} answered status {status}, expected SERVING")


if __name__ == "__main__":
    try:
        {"http": check_http, "grpc": check_grpc}[sys.argv[1]](sys.argv[2])
    except Exception as error:
        # Whatever went wrong, the container is not healthy; Docker keeps the line.
        print(f"unhealthy: {error}", file=sys.stderr)
        sys.exit(1)
