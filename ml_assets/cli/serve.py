"""``ml-assets serve``: the model server, in this process."""

import sys
from collections.abc import Callable
from typing import Any

import click

from ml_assets.cli.output import EXIT_CODES, reporting_errors
from ml_assets.core.extras import MissingExtraError, require_extra
from ml_assets.serving.settings import ServerSettings

HELP = {
    "host": "Address to listen on.",
    "port": "Port of predictions; 0 takes a free one and logs it.",
    "metrics_port": "Port of Prometheus metrics, of all workers.",
    "storage": "Directory or URL of plans and bundles (default: the home directory).",
    "home": "Directory of the prediction log (default: the home directory).",
    "cache": "Directory of plans and bundles that were served (default: HOME/cache).",
    "model": "The only model to serve (default: all).",
    "generation": "The only plan of that model to serve (default: the one active), or"
    " MODEL=GENERATION,... for the only models and plans.",
    "keys_file": "File of the API keys that callers need (default: none is needed).",
    "handoff": "Unix socket of the hand-off behind which requests are accepted too.",
    "workers": "Processes that share the port.",
    "hang_seconds": "A worker whose event loop does not run for so long is replaced.",
    "max_body_bytes": "Largest request body; beyond it the answer is 413.",
    "max_rows": "Most rows of one request; beyond it the answer is 413.",
    "max_in_flight": "Requests in flight per worker; beyond it the answer is 503.",
    "max_queue": "Slow requests of a model that wait; beyond it the answer is 503.",
    "answer_seconds": "Time a slow answer may take; beyond it the answer is 504.",
    "library_processes": "Processes per worker for slow versions and long requests.",
    "library_bytes": "Memory that one of those processes may allocate.",
    "max_connections": "Open connections per worker.",
    "header_seconds": "Time a client has to send its headers.",
    "body_seconds": "Time a client has to send its body.",
    "keep_alive_seconds": "How long an idle connection is kept.",
    "cors_origins": "Origins whose pages may read answers, by commas; * for all.",
    "drain_seconds": "How long connections may stay for a last request after SIGTERM.",
    "shutdown_seconds": "How long requests in flight may take after that.",
    "poll_seconds": "Seconds between two looks for proposals of this machine.",
    "segment_bytes": "Size at which a segment of the prediction log is shipped.",
    "segment_seconds": "Age at which a segment of the prediction log is shipped.",
    "max_shadow_rows": "Rows that wait for shadow arms; beyond it they are dropped.",
    "max_shadow_bytes": "About their bytes; beyond it they are dropped.",
}


def _options(function: Callable[..., Any]) -> Callable[..., Any]:
    """One option per field of the settings, with its variable and default."""
    defaults = zip(
        ServerSettings.__struct_fields__,
        ServerSettings.__struct_defaults__,
        strict=True,
    )
    for name, default in reversed(list(defaults)):
        notes = [f"env ML_ASSETS_{name.upper()}"]
        notes += [f"default {default}"] if default != "" else []
        option = click.option(
            f"--{name.replace('_', '-')}",
            name,
            type=type(default),
            help=f"{HELP[name]}  [{'; '.join(notes)}]",
        )
        function = option(function)
    return function


@click.command("serve", epilog=EXIT_CODES)
@_options
def command(**arguments: Any) -> None:
    """Serve predictions of every deployed model over HTTP, until SIGTERM or Ctrl-C.

    New plans are picked up while serving. An option wins over its variable.

    \b
    Examples:
      ml-assets serve
      ml-assets serve --host 0.0.0.0 --workers 4
      curl localhost:8080/models
    """
    try:
        settings = ServerSettings.load(arguments)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    with reporting_errors(MissingExtraError):
        require_extra("serve", "the model server")
    from ml_assets.serving.process.server import serve

    sys.exit(serve(settings))
