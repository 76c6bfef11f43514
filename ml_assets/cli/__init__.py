"""``ml-assets``: everything that the UI can do for a model, from a shell.

Each command lives in a module of its own, which is imported when it is called: help
answers at once, and ``serve`` loads nothing that the model server does not need.
"""

import click

import ml_assets
from ml_assets.cli.lazy import LazyGroup
from ml_assets.cli.output import reporting_errors
from ml_assets.core.files import StorageError
from ml_assets.core.project import ProjectError
from ml_assets.core.storage import storage

COMMANDS = {
    "approve": ("approve", "Let a version of the platform into production."),
    "contract": ("contract", "Accept data that moved on purpose."),
    "demo": ("demo", "Run the whole loop on bundled data, from nothing."),
    "deploy": ("deploy", "Put a version in service."),
    "dev": ("dev", "Dagster UI and model server, until Ctrl-C."),
    "doctor": ("doctor", "Check this installation, and what to do about it."),
    "experiment": ("experiment", "Show the challenger's evidence and the verdict."),
    "exporter": ("exporter", "Prometheus metrics of Dagster and the models."),
    "feedback": ("feedback", "Hand in what turned out, for past predictions."),
    "handoff": ("handoff", "Hold a port for servers that come and go."),
    "hold": ("hold:hold_command", "Keep a version from being deployed."),
    "init": ("init", "Make a project with one model."),
    "keys": ("keys", "Make the keys that sign, and the API keys of callers."),
    "ledger": ("ledger", "Show and verify what was decided on a model."),
    "lineage": ("lineage", "Show where an answer came from."),
    "migrate": ("migrate", "Bring state of an earlier release forward."),
    "models": ("models", "List the models and what serves them."),
    "predict": ("predict", "Score rows with the version in service."),
    "reproduce": ("reproduce", "Train a version again and compare its answers."),
    "retire": ("retire", "End a model: nothing serves it any more."),
    "retention": ("retention", "Remove what nothing needs any more."),
    "rollback": ("rollback", "Return to a version that served before."),
    "rollout": ("rollout", "Roll out the active plans again."),
    "serve": ("serve", "Serve predictions over HTTP."),
    "train": ("train", "Train a version and put it to its gate."),
    "unhold": ("hold:unhold_command", "Let a version on hold be deployed again."),
    "versions": ("versions", "List the versions of a model."),
}

# What a command was called before, and its name now.
RENAMED = {"door": "handoff", "explain": "lineage", "release": "unhold"}


@click.group(cls=LazyGroup, modules=COMMANDS, renamed=RENAMED)
@click.version_option(ml_assets.__version__, prog_name="ml-assets")
def main() -> None:
    """Train, deploy, serve and question the models of this project.

    \b
    Examples:
      ml-assets demo                        the whole loop, from nothing
      ml-assets train breast_cancer         train a version
      ml-assets deploy breast_cancer        put the newest that passes in service
      ml-assets predict breast_cancer rows.csv

    \b
    Exit codes:
      0  done
      1  failed; the reason is on standard error
      2  the command line is wrong

    \b
    Environment:
      ML_ASSETS_HOME       local state (default .ml_assets in the project or workspace)
      ML_ASSETS_STORAGE    tables, bundles and predictions: a directory, s3://, gs:// or
                           az:// (default ML_ASSETS_HOME)
      ML_ASSETS_DATABASE_URL
                           plans, versions and the ledger: SQLite or Postgres (default
                           that of Dagster, else SQLite in ML_ASSETS_HOME)
      ML_ASSETS_CACHE      verified bundles (default ML_ASSETS_HOME/cache)
      DAGSTER_HOME         Dagster instance (default ML_ASSETS_HOME/dagster)
      ML_ASSETS_TARGET     where plans are rolled out: local (default), docker or
                           kubernetes
      ML_ASSETS_SIGNING_KEY, ML_ASSETS_VERIFY_KEYS
                           keys of plans and ledgers; see `ml-assets keys --help`
      ML_ASSETS_KEYS_FILE  file of the API keys that callers of the model server need
      ML_ASSETS_API_KEY    API key that our own commands send to it
      MLFLOW_TRACKING_URI  model registry (default files in ML_ASSETS_HOME)
      NO_COLOR             any value: no colours on a terminal
    """
    # Before anything is written, whatever the command.
    with reporting_errors(StorageError, ProjectError):
        storage()
