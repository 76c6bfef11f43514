"""``ml-assets doctor``: what is wrong here, and what to do."""

import sys
from collections.abc import Callable, Iterator

import click

from ml_assets.cli.activity import activity
from ml_assets.cli.checks import Finding, guarded, installation, storage
from ml_assets.cli.console import item
from ml_assets.cli.output import echo_json, json_option, quiet_libraries

COLOURS = {"ok": "green", "warning": "yellow", "problem": "red"}
Check = Callable[[], Iterator[Finding]]


@click.command("doctor")
@click.option("--url", help="A model server that must answer.")
@click.option("--repair", is_flag=True, help="Publish active plans that are late.")
@json_option
def command(url: str | None, repair: bool, as_json: bool) -> None:
    """Check this installation: each line is ok, a warning or a problem.

    Checks Python and its packages, the storage, the models and their YAML, the
    registry, the Dagster instance, the model server, and who must have signed the
    images that are delivered.

    \b
    Examples:
      ml-assets doctor
      ml-assets doctor --repair
      ml-assets doctor --url http://models.example.com --json

    JSON keys: ok, problems, warnings, and findings with check, status, message, todo.

    Exit codes: 0 no problem, 1 at least one problem, 2 wrong usage.
    """
    quiet_libraries()
    findings = []
    with activity("checking", sys.stdout):
        for finding in diagnose(url, repair):
            findings.append(finding)
            if not as_json:
                _print(finding)
    problems = sum(finding.status == "problem" for finding in findings)
    warnings = sum(finding.status == "warning" for finding in findings)
    if as_json:
        echo_json(
            {
                "ok": not problems,
                "problems": problems,
                "warnings": warnings,
                "findings": [finding._asdict() for finding in findings],
            }
        )
    else:
        click.echo(f"{problems} problem(s), {warnings} warning(s)")
    sys.exit(1 if problems else 0)


def diagnose(url: str | None, repair: bool = False) -> Iterator[Finding]:
    """Run every check, those that need heavy libraries last."""
    from ml_assets.cli.checks import delivery, instance, models, registry, serving

    checks: dict[str, Check] = {
        "installation": installation.check,
        "storage": storage.check,
        "plans": lambda: serving.check_published(repair),
        "server": lambda: serving.check(url),
        "dagster": instance.check,
        "models": models.check,
        "registry": registry.check,
        "delivery": delivery.check,
    }
    for name, check in checks.items():
        yield from guarded(name, check)


def _print(finding: Finding) -> None:
    status = (finding.status, f"bold {COLOURS[finding.status]}")
    item(status, f"{finding.check}: {finding.message}", width=8)
    if finding.todo:
        item("", ("-> ", "dim"), finding.todo, width=8)
