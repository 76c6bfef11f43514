"""``ml-assets init``: a new project, with one model that trains as it stands."""

from pathlib import Path

import click

from ml_assets.cli.output import EXIT_CODES, reporting_errors


@click.command("init", epilog=EXIT_CODES)
@click.argument(
    "directory", default=".", type=click.Path(file_okay=False, path_type=Path)
)
@click.option("--name", help="Of its package (default: that of the directory).")
def command(directory: Path, name: str | None) -> None:
    """Make a `dg` project in DIRECTORY, which must be empty or not exist.

    It has one model on data that ships with scikit-learn, a README, tests, a workflow
    for GitHub Actions, a Dockerfile, and values for the charts of Dagster and of
    ml-assets. Nothing is written where something is in the way; .git is not.

    \b
    Examples:
      ml-assets init                  in the working directory
      ml-assets init churn-models     in a new directory, with the package churn_models
    """
    from ml_assets.cli.init.project import MODEL, ProjectRefusedError, create

    with reporting_errors(ProjectRefusedError, OSError):
        package = create(directory, name)
    click.echo(f"{directory} has the project {package} with the model {MODEL}; next:")
    if directory.resolve() != Path.cwd():
        click.echo(f"  cd {directory}")
    click.echo("  python3 -m venv .venv && . .venv/bin/activate")
    click.echo("  pip install --editable '.[dev]'")
    click.echo(f"  ml-assets train {MODEL}")
    click.echo("README.md goes on from there.")
