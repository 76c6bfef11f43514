"""GitHub's limits and faults, and artifacts that cannot be read."""

import pytest

from ml_assets.core.retry import Retry
from ml_assets.delivery import junit as junit_module
from ml_assets.delivery.ci_report import report
from ml_assets.delivery.ci_status import NO_TOKEN, CiSettings, ci_status
from ml_assets.delivery.github_session import GitHubSession, NotGivenError
from ml_assets_tests.kits.github import (
    NOW,
    REPOSITORY,
    TOKEN,
    GitHubDouble,
    Reader,
    archive,
    github_double,
    junit,
    seen,
)


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
    with pytest.raises(NotGivenError, match="has more than 70,000 bytes"):
        session.download(path, 70_000)
