"""The runs of a branch, read from an API like GitHub's, in good times and bad."""

from collections.abc import Callable, Iterator

import pytest

from ml_assets.core.retry import Retry
from ml_assets.delivery import junit as junit_module
from ml_assets.delivery.ci_report import CiReport, report
from ml_assets.delivery.ci_status import (
    NO_TOKEN,
    CiRead,
    CiSettings,
    ci_settings,
    ci_status,
)
from ml_assets.delivery.environments import SettingsError
from ml_assets.delivery.github_session import GitHubSession
from ml_assets_tests.kits.github import (
    REPOSITORY,
    TOKEN,
    GitHubDouble,
    archive,
    github_double,
    junit,
)

NOW = 1_800_000_000.0
LIST = f"/repos/{REPOSITORY}/actions/runs?"
Reader = Callable[..., CiRead]


@pytest.fixture
def github() -> Iterator[GitHubDouble]:
    with github_double() as running:
        yield running


@pytest.fixture
def waits() -> list[float]:
    """The pauses that a reader made between its attempts."""
    return []


@pytest.fixture
def read(github: GitHubDouble, waits: list[float]) -> Reader:
    """Reads as a new process does, at a moment, with a token or without."""

    def status(at: float = NOW, token: str = TOKEN, **more: int) -> CiRead:
        settings = CiSettings(REPOSITORY, api=github.url, token=token, **more)
        return ci_status(settings, Retry(3, sleep=waits.append), lambda: at)

    return status


def seen(found: CiRead) -> CiReport:
    assert found.problem is None
    return report(found.snapshot.runs)


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


def test_a_page_on_another_server_does_not_get_the_token(
    github: GitHubDouble, read: Reader
) -> None:
    run = github.add_run()
    for _ in range(2):
        github.add_job(run, "success")
    github.page, github.next_link = 2, "https://elsewhere.example/jobs?page=2"
    assert "which is another server" in str(read().problem)


def test_used_up_requests_leave_what_was_read_and_are_waited_for(
    github: GitHubDouble, read: Reader
) -> None:
    for commit in "abc":
        github.add_run("success", commit)
    github.remaining, github.reset = 3, NOW + 600
    found = read()
    assert found.problem == (
        "GitHub's rate limit is used up until 2027-01-15 08:10:00 UTC"
    )
    assert report(found.snapshot.runs).passing is True
    assert [run.is_read for run in found.snapshot.runs] == [True, False, False]
    github.requests.clear()
    assert "rate limit" in str(read(NOW + 599).problem) and github.requests == []
    github.remaining = 5000
    whole = read(NOW + 601)
    assert whole.problem is None and all(r.is_read for r in whole.snapshot.runs)


@pytest.mark.parametrize(
    "status, headers, pause",
    [
        (429, {"Retry-After": "30"}, 30),
        (403, {"Retry-After": "120"}, 120),
        (429, {}, 60),
        (403, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "7"}, 1),
    ],
)
def test_a_pause_that_github_asks_for_is_made(
    github: GitHubDouble,
    read: Reader,
    waits: list[float],
    status: int,
    headers: dict[str, str],
    pause: float,
) -> None:
    github.faults = [(status, headers)]
    found = read()
    assert "rate limit" in str(found.problem)
    assert found.snapshot.not_before == NOW + pause
    assert len(github.requests) == 1 and waits == []


def test_a_fault_that_passes_is_tried_again(
    github: GitHubDouble, read: Reader, waits: list[float]
) -> None:
    github.add_run()
    github.faults = [(502, {}), (503, {"Retry-After": "2"})]
    assert seen(read()).passing is True
    assert len(waits) == 2 and waits[1] >= 2.0


@pytest.mark.parametrize(
    "status, words",
    [
        (500, "is not available"),
        (404, "answered 404"),
        (401, "check ML_ASSETS_CI_TOKEN"),
        (403, "check ML_ASSETS_CI_TOKEN"),
        (422, "answered 422"),
    ],
)
def test_what_github_does_not_give_leaves_what_was_known(
    github: GitHubDouble, read: Reader, status: int, words: str
) -> None:
    github.add_run("failure")
    read()
    github.faults = [(status, {})] * 3
    found = read(NOW + 900)
    assert words in str(found.problem)
    assert found.snapshot.read_at == NOW
    assert report(found.snapshot.runs).passing is False


def test_an_answer_that_is_no_list_of_runs_is_said(
    github: GitHubDouble, read: Reader
) -> None:
    github.runs = [{"id": "seven"}]
    assert "has no list of workflow_runs" in str(read().problem)
    github.faults = [(200, {})]
    assert "has no list of workflow_runs" in str(read().problem)


def test_without_a_server_nothing_raises(waits: list[float]) -> None:
    with github_double() as gone:
        url = gone.url
    retry = Retry(attempts=2, sleep=waits.append)
    found = ci_status(CiSettings(REPOSITORY, api=url), retry)
    assert "the connection failed" in str(found.problem)
    assert report(found.snapshot.runs).passing is None


def test_without_a_token_runs_and_jobs_are_read_and_artifacts_when_there_is_one(
    github: GitHubDouble, read: Reader
) -> None:
    github.add_tests(github.add_run(), a="passed")
    found = read(token="")
    assert seen(found).passing is True and seen(found).tests == 0
    assert found.snapshot.runs[0].problems == [NO_TOKEN]
    github.requests.clear()
    read(token="")
    assert len(github.requests) == 1
    assert seen(read()).tests == 1


def bomb() -> bytes:
    """A small archive of one large file."""
    return archive({"junit.xml": b" " * (junit_module.LARGEST_FILE + 1)})


def lying() -> bytes:
    """An archive that names a method of compression that is not known."""
    content = bytearray(archive({"junit.xml": junit(a="passed")}))
    content[8] = content[content.rindex(b"PK\x01\x02") + 10] = 99
    return bytes(content)


@pytest.mark.parametrize(
    "content, fields, words",
    [
        (b"", {"expired": True}, "has expired"),
        (b"", {"size_in_bytes": 2**40}, "1,099,511,627,776 bytes, more than"),
        (b"PK nothing", {}, "no zip archive that can be read"),
        (lying(), {}, "no zip archive that can be read"),
        (bomb(), {}, "junit.xml unpacks to more than"),
        (archive({"a.xml": b"<testsuites>"}), {}, "no XML in UTF-8"),
        (archive({"a.xml": b'<!DOCTYPE a [<!ENTITY b "c">]><a/>'}), {}, "entities"),
    ],
)
def test_an_artifact_that_cannot_be_read_is_said_and_keeps_no_other_back(
    github: GitHubDouble,
    read: Reader,
    content: bytes,
    fields: dict[str, object],
    words: str,
) -> None:
    run = github.add_run()
    github.add_artifact(run, content, "tests-bad", **fields)
    github.add_tests(run, a="passed")
    found = read()
    assert seen(found).tests == 1
    (problem,) = found.snapshot.runs[0].problems
    assert "tests-bad" in problem and words in problem


def test_an_archive_of_many_large_files_is_bounded_as_a_whole(
    github: GitHubDouble, read: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(junit_module, "LARGEST_ALL", 1_000)
    run = github.add_run()
    files = {f"{n}.xml": junit(a="passed") + b" " * 400 for n in range(3)}
    github.add_artifact(run, archive(files))
    assert "all files to more than" in read().snapshot.runs[0].problems[0]


def test_a_download_ends_at_its_bound(github: GitHubDouble) -> None:
    run = github.add_run()
    github.add_artifact(run, b"x" * 100_000)
    number = github.artifacts[run][0]["id"]
    path = f"/repos/{REPOSITORY}/actions/artifacts/{number}/zip"
    session = GitHubSession(github.url, TOKEN)
    with pytest.raises(Exception, match="has more than 70,000 bytes"):
        session.download(path, 70_000)


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
