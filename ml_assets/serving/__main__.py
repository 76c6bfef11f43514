"""``python -m ml_assets.serving``: the model server by itself."""

import argparse
import faulthandler
import socket
import sys
from pathlib import Path

from ml_assets.serving import logs
from ml_assets.serving.process.draining_server import Inherited
from ml_assets.serving.process.server import serve, serve_here
from ml_assets.serving.settings import ServerSettings


def main() -> int:
    """Serve with the settings of the command line; the exit code."""
    # A crash of the interpreter says where, instead of nothing.
    faulthandler.enable()
    parser = argparse.ArgumentParser(
        prog="python -m ml_assets.serving",
        description="Serve the deployed models. Each option is also an environment"
        " variable, such as ML_ASSETS_PORT.",
    )
    for name in ServerSettings.__struct_fields__:
        parser.add_argument(f"--{name.replace('_', '-')}", dest=name)
    parser.add_argument(
        "--inherit",
        nargs=3,
        metavar=("LISTENER", "HEARTBEAT", "METRICS"),
        help="be a worker of a supervisor: descriptors of the listening socket and of"
        " the pipe for heartbeats, path of the Unix socket for metrics",
    )
    arguments = vars(parser.parse_args())
    inherit = arguments.pop("inherit")
    try:
        settings = ServerSettings.load(arguments)
    except ValueError as error:
        parser.error(str(error))
    if inherit is not None:
        logs.configure()
        listener, heartbeat, metrics = inherit
        given = Inherited(
            socket.socket(fileno=int(listener)), Path(metrics), int(heartbeat)
        )
        return serve_here(settings, given)
    return serve(settings)


if __name__ == "__main__":
    sys.exit(main())
