"""Workflows on GitHub that an observed site watches."""

import dagster as dg
import pytest

from ml_assets.automation import ci as automation_ci
from ml_assets_tests.kits.github import (
    REPOSITORY,
    TOKEN,
    archive,
    github_double,
    junit,
)
from ml_assets_tests.kits.observed_site import Site


def watch_workflows(site: Site) -> None:
    """The main branch turns red on GitHub, and green again with the next commit."""
    location = dg.Definitions.merge(
        automation_ci.build(), dg.Definitions(executor=dg.in_process_executor)
    )
    job = location.resolve_job_def(automation_ci.NAME)
    with github_double() as github, pytest.MonkeyPatch.context() as patch:
        patch.setenv("ML_ASSETS_CI_REPOSITORY", REPOSITORY)
        patch.setenv("ML_ASSETS_CI_TOKEN", TOKEN)
        patch.setenv("ML_ASSETS_CI_API_URL", github.url)
        for commit, outcome in zip("abcd", ["success"] * 2 + ["failure", "success"]):
            run = github.add_run(outcome, commit)
            results = junit(scores="failed" if outcome == "failure" else "passed")
            coverage = b'<coverage line-rate="0.9"/>'
            files = {"junit.xml": results, "coverage.xml": coverage}
            github.add_artifact(run, archive(files))
            assert job.execute_in_process(instance=site.instance).success
            if outcome == "failure":
                site.await_alert("MlAssetsMainRed", workflow="CI")
    site.await_cleared("MlAssetsMainRed")
