"""The runs of a branch, read from an API like GitHub's."""

import pytest

from ml_assets.delivery import junit as junit_module
from ml_assets.delivery.ci_status import CiSettings, ci_settings
from ml_assets.delivery.environments import SettingsError
from ml_assets_tests.kits.github import (
    NOW,
    REPOSITORY,
    GitHubDouble,
    Reader,
    archive,
    junit,
    seen,
)

LIST = f"/repos/{REPOSITORY}/actions/runs?"


def test_a_green_branch_passes_with_its_tests_and_coverage(
    github: GitHubDouble, read: Reader
) -> None:
    run = github.add_run()
    coverage = b'<coverage version="7" line-rate="0.913"><packages/></coverage>'
    files = {"coverage.xml": coverage, "junit.xml": junit(slow="passed", b="skipped")}
    github.add_artifact(run, archive(files | {"coverage/index.html": b"<html>"}))
    github.add_artifact(run, b"not asked for", name="security-reports")
    found = seen(read())
    assert found.passing is True and found.coverage == 0.913 and found.tests == 2
    (workflow,) = found.workflows
    assert (workflow.name, workflow.seconds) == ("CI", 600.0)
    assert (workflow.failure_ratio, workflow.runs) == (0.0, 1)
    assert found.slowest[0] == ("tests.test_a::b", "tests-3.11", 1.5)
    assert found.flaky == [] and found.failing_tests == []
    # The store of artifacts is another server, and must not learn the token.
    (headers,) = github.store_headers
    assert "Authorization" not in headers


def test_a_red_branch_names_what_failed_and_how_the_share_moves(
    github: GitHubDouble, read: Reader
) -> None:
    for commit, outcome in zip("abcd", ["success"] * 2 + ["failure"] * 2):
        run = github.add_run(outcome, commit)
        outcome = "passed" if outcome == "success" else "failed"
        github.add_tests(run, good="passed", bad=outcome)
    github.add_run("cancelled", "e")
    github.add_run("success", "d", workflow="CD")
    found = seen(read())
    assert found.passing is False
    figures = {item.name: item for item in found.workflows}
    assert figures["CD"].passing and not figures["CI"].passing
    assert (figures["CI"].failure_ratio, figures["CI"].earlier_ratio) == (1.0, 0.0)
    assert found.failing_tests == [("tests.test_a::bad", "tests-3.11")]
    job, _ = found.jobs
    assert (job.name, job.failures, job.runs, job.seconds) == ("Test", 2, 4, 180.0)


def test_a_branch_without_a_verdict_is_neither(
    github: GitHubDouble, read: Reader
) -> None:
    assert seen(read()).passing is None
    github.add_run("skipped")
    github.add_run(None, status="queued")
    assert seen(read()).passing is None


def test_runs_of_forks_and_of_proposals_are_not_of_the_branch(
    github: GitHubDouble, read: Reader
) -> None:
    github.add_run("success")
    github.add_run("failure", head_repository={"full_name": "stranger/churn"})
    github.add_run("failure", event="pull_request")
    github.add_run("failure", head_repository=None)
    assert seen(read()).passing is True


def test_a_test_that_failed_and_passed_on_one_commit_is_flaky(
    github: GitHubDouble, read: Reader
) -> None:
    for outcome in ("passed", "failed"):
        # The second of these is of every night, without a new commit.
        run = github.add_run("success", "a", event="schedule")
        github.add_tests(run, shaky=outcome, broken="failed", c="passed")
    # On another commit it was mended, which makes it no flaky one.
    github.add_tests(github.add_run("success", "b"), broken="passed")
    found = seen(read())
    assert [(item.name, item.where, item.commits) for item in found.flaky] == [
        ("tests.test_a::shaky", "tests-3.11", 1)
    ]


@pytest.mark.parametrize("outcome, name", [("skipped", "a"), ("passed", "b")])
def test_a_test_that_the_other_run_did_not_make_is_not_flaky(
    github: GitHubDouble, read: Reader, outcome: str, name: str
) -> None:
    github.add_tests(github.add_run("failure"), a="failed", c="passed", d="passed")
    others = {name: outcome, "c": "passed", **({"d": "passed"} if name == "a" else {})}
    github.add_tests(github.add_run("failure"), **others)
    assert seen(read()).flaky == []


def test_names_that_were_left_out_make_no_test_flaky(
    github: GitHubDouble, read: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(junit_module, "MOST_NAMES", 2)
    github.add_tests(github.add_run("failure"), a="passed", b="passed", c="failed")
    github.add_tests(github.add_run("failure"), a="failed", b="failed", c="failed")
    names = {item.name for item in seen(read()).flaky}
    assert names == {"tests.test_a::a", "tests.test_a::b"}


def test_one_that_passed_on_the_second_try_of_the_same_run_is_flaky(
    github: GitHubDouble, read: Reader
) -> None:
    run = github.add_run()
    files = {
        "junit-test-processes.xml": junit(shaky="failed", b="passed"),
        "junit-test-processes-again.xml": junit(shaky="passed"),
    }
    github.add_artifact(run, archive(files), name="tests-processes")
    found = seen(read())
    assert [item.name for item in found.flaky] == ["tests.test_a::shaky"]
    assert found.failing_tests == []


def test_a_job_that_passed_when_it_was_run_again_is_flaky(
    github: GitHubDouble, read: Reader
) -> None:
    run = github.add_run("failure")
    github.add_tests(run, shaky="failed")
    assert seen(read()).flaky == []
    github.runs[0] |= {"run_attempt": 2, "status": "in_progress", "conclusion": None}
    assert seen(read()).passing is False, "until it has ended"
    github.runs[0] |= {"status": "completed", "conclusion": "success"}
    github.add_job(run, "success", attempt=2)
    # GitHub lists the artifacts of the newest attempt.
    github.artifacts[run].clear()
    github.add_tests(run, shaky="passed")
    found = seen(read())
    assert found.passing is True
    assert {item.name for item in found.flaky} == {"job Test", "tests.test_a::shaky"}


def test_what_is_not_new_costs_one_request_that_is_not_counted(
    github: GitHubDouble, read: Reader
) -> None:
    github.add_tests(github.add_run(), a="passed")
    first = read()
    github.requests.clear()
    github.remaining = 0
    again = read(NOW + 900)
    assert len(github.requests) == 1 and github.requests[0].startswith(LIST)
    assert again.problem is None and again.snapshot.read_at == NOW + 900
    assert again.snapshot.runs == first.snapshot.runs


def test_all_pages_are_read(github: GitHubDouble, read: Reader) -> None:
    run = github.add_run()
    for number in range(4):
        github.add_job(run, "success", f"Test {number}")
        name = f"tests-{number}"
        github.add_artifact(run, archive({"junit.xml": junit(a="passed")}), name)
    github.page = 2
    found = seen(read())
    assert len(found.jobs) == 5 and found.tests == 4


def test_as_many_runs_are_kept_as_are_wanted(
    github: GitHubDouble, read: Reader
) -> None:
    for _ in range(5):
        github.add_run()
    assert len(read(runs=3).snapshot.runs) == 3


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError, match="ML_ASSETS_CI_REPOSITORY is not set"):
        ci_settings()
    monkeypatch.setenv("ML_ASSETS_CI_REPOSITORY", "acme/churn")
    assert ci_settings() == CiSettings("acme/churn")
    monkeypatch.setenv("ML_ASSETS_CI_BRANCH", "trunk")
    monkeypatch.setenv("ML_ASSETS_CI_RUNS", "7")
    monkeypatch.setenv("ML_ASSETS_CI_TOKEN", "t")
    monkeypatch.setenv("ML_ASSETS_CI_API_URL", "https://ghe.acme.example/api/v3")
    found = ci_settings()
    assert (found.branch, found.runs, found.token) == ("trunk", 7, "t")
    assert found.api == "https://ghe.acme.example/api/v3"


@pytest.mark.parametrize(
    "variable, value, words",
    [
        ("ML_ASSETS_CI_REPOSITORY", "churn", "is 'churn', expected OWNER/NAME"),
        ("ML_ASSETS_CI_REPOSITORY", "a/b/c", "is 'a/b/c', expected OWNER/NAME"),
        ("ML_ASSETS_CI_RUNS", "0", "is '0', expected a number from 1 to 100"),
        ("ML_ASSETS_CI_RUNS", "many", "is 'many', expected a number from 1 to 100"),
    ],
)
def test_a_wrong_setting_is_named(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, words: str
) -> None:
    monkeypatch.setenv("ML_ASSETS_CI_REPOSITORY", "acme/churn")
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError, match=words):
        ci_settings()
