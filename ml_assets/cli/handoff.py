"""``ml-assets handoff``: hold a port for the servers that deployments start."""

import sys
from pathlib import Path

import click

from ml_assets.cli.output import EXIT_CODES


@click.command("handoff", epilog=EXIT_CODES)
@click.option("--host", default="127.0.0.1", help="Address to hold.")
@click.option("--port", default=8080, help="Port to hold; 0 takes a free one.")
@click.option(
    "--handoff",
    "path",
    required=True,
    envvar="ML_ASSETS_HANDOFF",
    type=click.Path(path_type=Path),
    help="Unix socket at which servers ask for it  [env ML_ASSETS_HANDOFF]",
)
def command(host: str, port: int, path: Path) -> None:
    """Hold a port, and lend it to every server started with the same --handoff.

    Servers may come and go, one beside another: no connection is lost. It is what the
    target `docker` needs once per model.

    \b
    Examples:
      ml-assets handoff --handoff /run/ml-assets/handoff.sock --host 0.0.0.0
      ml-assets serve --handoff /run/ml-assets/handoff.sock --port 0
    """
    from ml_assets.serving.process.handoff import run
    from ml_assets.serving.process.sockets import cannot_listen
    from ml_assets.serving.settings import require_socket_path

    try:
        require_socket_path(str(path))
        code = run(host, port, path)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    except OSError as error:
        code = cannot_listen(host, port, error)
    sys.exit(code)
