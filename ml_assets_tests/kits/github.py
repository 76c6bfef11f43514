"""GitHub's REST API in small: runs of workflows, their jobs and their artifacts.

The answers have the shapes of "REST API endpoints for GitHub Actions", version
2022-11-28, as far as a reader of runs uses them.
"""

import contextlib
import datetime as dt
import hashlib
import io
import itertools
import json
import zipfile
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from ml_assets.delivery.ci_report import CiReport, report
from ml_assets.delivery.ci_status import CiRead
from ml_assets_tests.kits.doubles import served

REPOSITORY = "acme/churn"
TOKEN = "of-a-reader"
NOW = 1_800_000_000.0
Reader = Callable[..., CiRead]
BEGAN = dt.datetime(2026, 11, 23, 2, tzinfo=dt.UTC)
COMMITS = {name: hashlib.sha1(name.encode()).hexdigest() for name in "abcdef"}


def junit(**outcomes: str) -> bytes:
    """A JUnit file as pytest writes it: test to ``passed``, ``failed``, ``skipped``."""
    inside = {"failed": '<failure message="no">no</failure>', "skipped": "<skipped />"}
    cases = "".join(
        f'<testcase classname="tests.test_a" name="{name}" time="{number}.5">'
        f"{inside.get(outcome, '')}</testcase>"
        for number, (name, outcome) in enumerate(outcomes.items())
    )
    text = '<?xml version="1.0" encoding="utf-8"?><testsuites>'
    return f'{text}<testsuite name="pytest">{cases}</testsuite></testsuites>'.encode()


def archive(files: Mapping[str, bytes]) -> bytes:
    """A zip archive of these files."""
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as opened:
        for name, data in files.items():
            opened.writestr(name, data)
    return written.getvalue()


class GitHubDouble(ThreadingHTTPServer):
    """An API server, and the store of artifacts that it redirects to.

    `faults` are statuses and headers of the next answers; `requests` are the paths that
    were asked for; `remaining` counts down where it is set, and what was not modified
    costs nothing. `store_headers` are those of the requests to the store.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.runs: list[dict[str, Any]] = []
        self.jobs: dict[int, list[dict[str, Any]]] = {}
        self.artifacts: dict[int, list[dict[str, Any]]] = {}
        self.archives: dict[int, bytes] = {}
        self.faults: list[tuple[int, dict[str, str]]] = []
        self.requests: list[str] = []
        self.store_headers: list[Mapping[str, str]] = []
        self.remaining: int | None = None
        self.reset = 0.0
        self.page = 100
        self.next_link = ""
        self._ids = itertools.count(1)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Keep quiet: a client that has enough closes the connection."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def add_run(
        self,
        outcome: str | None = "success",
        commit: str = "a",
        workflow: str = "CI",
        **fields: Any,
    ) -> int:
        """A completed run of main, newer than all others; its id."""
        number = next(self._ids)
        began = BEGAN + dt.timedelta(hours=number)
        run = {
            "id": number,
            "name": workflow,
            "head_branch": "main",
            "head_sha": COMMITS[commit],
            "path": ".github/workflows/ci.yml",
            "run_number": number,
            "run_attempt": 1,
            "event": "push",
            "status": "completed",
            "conclusion": outcome,
            "html_url": f"https://github.com/{REPOSITORY}/actions/runs/{number}",
            "created_at": _text(began),
            "run_started_at": _text(began),
            "updated_at": _text(began + dt.timedelta(minutes=10)),
            "head_repository": {"full_name": REPOSITORY},
        }
        self.runs.insert(0, run | fields)
        self.jobs[number], self.artifacts[number] = [], []
        self.add_job(number, outcome)
        return number

    def add_job(
        self, run: int, outcome: str | None, name: str = "Test", attempt: int = 1
    ) -> None:
        """A job of a run, of three minutes."""
        self.jobs[run].append(
            {
                "id": next(self._ids),
                "run_id": run,
                "name": name,
                "run_attempt": attempt,
                "status": "completed",
                "conclusion": outcome,
                "started_at": _text(BEGAN),
                "completed_at": _text(BEGAN + dt.timedelta(minutes=3)),
            }
        )

    def add_artifact(
        self, run: int, content: bytes, name: str = "tests-3.11", **fields: Any
    ) -> None:
        """An artifact of a run, with the bytes of its archive."""
        number = next(self._ids)
        self.archives[number] = content
        size = {"size_in_bytes": len(content), "expired": False}
        self.artifacts[run].append({"id": number, "name": name, **size} | fields)

    def add_tests(self, run: int, **outcomes: str) -> None:
        """An artifact with one JUnit file."""
        self.add_artifact(run, archive({"junit.xml": junit(**outcomes)}))


class _Handler(BaseHTTPRequestHandler):
    server: GitHubDouble
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, format: str, *args: Any) -> None:
        """Keep quiet."""

    def do_GET(self) -> None:
        github, asked = self.server, urlsplit(self.path)
        if asked.path.startswith("/store/"):
            github.store_headers.append(dict(self.headers))
            self._answer(200, github.archives[int(asked.path.rpartition("/")[2])], {})
            return
        github.requests.append(self.path)
        if github.faults:
            status, headers = github.faults.pop(0)
            self._answer(status, b'{"message": "injected"}', headers)
            return
        if self.headers.get("Authorization") not in (None, f"Bearer {TOKEN}"):
            self._answer(401, b'{"message": "Bad credentials"}', {})
            return
        parts = asked.path.removeprefix(f"/repos/{REPOSITORY}/actions/").split("/")
        query = parse_qs(asked.query)
        match parts:
            case ["runs"]:
                self._list("workflow_runs", github.runs, query)
            case ["runs", number, "jobs"] if query.get("filter") == ["all"]:
                self._list("jobs", github.jobs[int(number)], query)
            case ["runs", number, "artifacts"]:
                self._list("artifacts", github.artifacts[int(number)], query)
            case ["artifacts", number, "zip"]:
                self._redirect(int(number))
            case _:
                self._answer(404, b'{"message": "Not Found"}', {})

    def _list(
        self, name: str, items: list[dict[str, Any]], query: dict[str, list[str]]
    ) -> None:
        github = self.server
        size = min(int(query["per_page"][0]), github.page)
        number = int(query.get("page", ["1"])[0])
        shown = items[(number - 1) * size : number * size]
        body = json.dumps({"total_count": len(items), name: shown}).encode()
        headers = {"ETag": f'W/"{hashlib.sha256(body).hexdigest()}"'}
        if number * size < len(items):
            page = self.path.partition("&page=")[0] + f"&page={number + 1}"
            link = github.next_link or f"{github.url}{page}"
            headers["Link"] = f'<{link}>; rel="next"'
        if self.headers.get("If-None-Match") == headers["ETag"]:
            self._answer(304, b"", headers)
        else:
            self._answer(200, body, headers, costs=1)

    def _redirect(self, number: int) -> None:
        if "Authorization" not in self.headers:
            self._answer(401, b'{"message": "Requires authentication"}', {})
            return
        # Another name of this machine is another server to a client.
        store = f"http://localhost:{self.server.server_port}/store/{number}?sig=once"
        self._answer(302, b"", {"Location": store}, costs=1)

    def _answer(
        self, status: int, body: bytes, headers: Mapping[str, str], costs: int = 0
    ) -> None:
        github, sent = self.server, dict(headers)
        if github.remaining is not None:
            if costs > github.remaining:
                status, body = 403, b'{"message": "API rate limit exceeded"}'
            github.remaining = max(github.remaining - costs, 0)
            sent["X-RateLimit-Remaining"] = str(github.remaining)
            sent["X-RateLimit-Reset"] = str(int(github.reset))
        self.send_response(status)
        for name, value in sent.items():
            self.send_header(name, value)
        if status != 304:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body if status != 304 else b"")


def _text(moment: dt.datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


@contextlib.contextmanager
def github_double() -> Iterator[GitHubDouble]:
    """A double that answers until the block ends."""
    server = GitHubDouble()
    with served(server):
        yield server


def seen(found: CiRead) -> CiReport:
    """The report on what was read without a problem."""
    assert found.problem is None
    return report(found.snapshot.runs)
