"""What must hold in an environment after a release was deployed there."""

from collections.abc import Callable, Iterator
from importlib import import_module

from ml_assets.delivery.checks.finding import Finding, Site

# Check to what it says. The order is that in which they are made.
SENTENCES = {
    "code_location": "The code location loads without errors, from the new image.",
    "smoke": "A run that was launched through GraphQL trained a small model.",
    "data_quality": "The data of every model still passes its rules.",
    "model_contract": "Every model server answers by the schema that it publishes.",
    "latency": "99 of 100 predictions are answered within the bound.",
}

_MODULES = ("code_location", "smoke_run", "model_servers")


def run(site: Site) -> list[Finding]:
    """Make every check, in order; after one that fails, the others are not tried.

    All findings are returned, and each has the name of a check.
    """
    findings = [*_until_one_fails(site)]
    failed = [finding for finding in findings if not finding.passed]
    made = {finding.name for finding in findings}
    findings += [
        Finding(name, False, f"not tried, because {failed[0].name} failed")
        for name in SENTENCES
        if failed and name not in made
    ]
    return findings


def not_tried(reason: str) -> list[Finding]:
    """Every check, of a release that did not come so far."""
    return [Finding(name, False, f"not tried: {reason}") for name in SENTENCES]


def _until_one_fails(site: Site) -> Iterator[Finding]:
    for name in _MODULES:
        module = import_module(f"{__name__}.{name}")
        check: Callable[[Site], list[Finding]] = module.check
        findings = check(site)
        yield from findings
        if not all(finding.passed for finding in findings):
            return
