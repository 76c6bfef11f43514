"""What must hold in an environment after a release was deployed there.

`code_location` asks the Dagster webserver of the environment, `model_servers` its model
servers.
"""

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from ml_assets.delivery.environments import Settings
    from ml_assets.delivery.releases import Release

# Check to its description. The order is that in which they are made.
DESCRIPTIONS = {
    "code_location": "The code location loads without errors, from the new image.",
    "smoke": "A run that was launched through GraphQL trained a small model.",
    "data_quality": "The data of every model still passes its rules.",
    "model_contract": "Every model server answers by the schema that it publishes.",
    "latency": "99 of 100 predictions are answered within the bound.",
}
# The job of the image under test that trains a small model, and its two checks.
SMOKE_JOB = "release_smoke"
PIPELINE, DATA_QUALITY = "pipeline", "data_quality"


class CheckResult(NamedTuple):
    """The result of one check: a sentence, and the figures behind it."""

    name: str
    passed: bool
    sentence: str
    figures: dict[str, Any] = {}


class CheckContext(NamedTuple):
    """An environment after a release was deployed there.

    Attributes
    ----------
    key : str
        Unique for the attempt: what a check starts, it starts once for it.
    models : dict of str to str
        Model to the Deployment of its servers.
    """

    settings: "Settings"
    release: "Release"
    key: str
    models: dict[str, str]


def run(context: CheckContext) -> list[CheckResult]:
    """Make every check, in order; after one that fails, the others are not tried.

    All results are returned, and each has the name of a check.
    """
    # The definitions of the code location need the descriptions only.
    from ml_assets.delivery.checks import code_location, model_servers

    results: list[CheckResult] = []
    for check in (code_location.check, model_servers.check):
        results += check(context)
        failed = next((result for result in results if not result.passed), None)
        if failed is not None:
            made = {result.name for result in results}
            rest = [name for name in DESCRIPTIONS if name not in made]
            return results + _not_made(rest, f"not tried, because {failed.name} failed")
    return results


def not_tried(reason: str) -> list[CheckResult]:
    """Every check, of a release that did not come so far."""
    return _not_made([*DESCRIPTIONS], f"not tried: {reason}")


def _not_made(names: list[str], reason: str) -> list[CheckResult]:
    return [CheckResult(name, False, reason) for name in names]
