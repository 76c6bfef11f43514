"""``python -m ml_assets.serving``: the model server by itself."""

import argparse
import sys
from pathlib import Path

from ml_assets.serving import logs
from ml_assets.serving.server import serve, serve_here
from ml_assets.serving.settings import ServerSettings


def main() -> int:
    """Serve with the settings of the command line; the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m ml_assets.serving",
        description="Serve the deployed models. Each option is also an environment"
        " variable, such as ML_ASSETS_PORT.",
    )
    for name in ServerSettings.__struct_fields__:
        parser.add_argument(f"--{name.replace('_', '-')}", dest=name)
    parser.add_argument(
        "--metrics-socket",
        type=Path,
        help="be one of several workers on the port (SO_REUSEPORT), and tell metrics"
        " at this Unix socket",
    )
    arguments = vars(parser.parse_args())
    metrics_socket = arguments.pop("metrics_socket")
    try:
        settings = ServerSettings.load(arguments)
    except ValueError as error:
        parser.error(str(error))
    if metrics_socket is not None:
        logs.configure()
        return serve_here(settings, metrics_socket)
    return serve(settings)


if __name__ == "__main__":
    sys.exit(main())
