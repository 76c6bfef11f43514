"""Reading over HTTP, from a real server with scripted answers."""

import io
import json
import logging
import resource
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import requests

from ml_assets.ml.sources import Retry, SourceError, read_source
from ml_assets.ml.sources.redirects import session_of
from ml_assets.spec.source import SourceSpec

BODY = b"age,income\n" + b"".join(b"%d,<=50K\n" % age for age in range(2000))
KEY = "s3cret-kaggle-key"


class Handler(BaseHTTPRequestHandler):
    """Answers each request by the next step of the server's script."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        server: Any = self.server
        stand: Stand = server.stand
        stand.requests.append((self.path, dict(self.headers)))
        step = stand.script.pop(0) if len(stand.script) > 1 else stand.script[0]
        step(self)

    def log_message(self, *args: Any) -> None:
        """Say nothing."""


Step = Callable[[Handler], None]


@dataclass
class Stand:
    """A server on 127.0.0.1, its script, and what it was asked."""

    server: ThreadingHTTPServer
    script: list[Step] = field(default_factory=list)
    requests: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    released: threading.Event = field(default_factory=threading.Event)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"

    def headers(self, name: str) -> list[str | None]:
        return [headers.get(name) for _, headers in self.requests]


def open_stand() -> Stand:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    stand = Stand(server)
    server.stand = stand  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    return stand


def close_stand(stand: Stand) -> None:
    stand.released.set()
    stand.server.shutdown()
    stand.server.server_close()


@pytest.fixture
def stand() -> Iterator[Stand]:
    stand = open_stand()
    yield stand
    close_stand(stand)


@pytest.fixture
def other() -> Iterator[Stand]:
    stand = open_stand()
    yield stand
    close_stand(stand)


def answer(
    status: int = 200,
    body: bytes = BODY,
    cut: int | None = None,
    **headers: str,
) -> Step:
    """Send `body`; with `cut`, promise all of it, send that many bytes and hang up."""

    def step(handler: Handler) -> None:
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(body[:cut])
        if cut is not None:
            handler.wfile.flush()
            handler.close_connection = True

    return step


def hang_up(handler: Handler) -> None:
    handler.close_connection = True


def resume(body: bytes = BODY, tag: str = '"v1"') -> Step:
    """Serve a range if the condition holds, as a web server does."""

    def step(handler: Handler) -> None:
        span = handler.headers.get("Range")
        if span is None or handler.headers.get("If-Range") != tag:
            return answer(body=body, ETag=tag)(handler)
        start = int(span.removeprefix("bytes=").removesuffix("-"))
        content_range = f"bytes {start}-{len(body) - 1}/{len(body)}"
        answer(206, body[start:], ETag=tag, Content_Range=content_range)(handler)

    return step


@dataclass
class Clock:
    """Time that passes only by waiting."""

    now: float = 0.0
    waits: list[float] = field(default_factory=list)

    def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now += seconds

    def retry(self, attempts: int = 3) -> Retry:
        return Retry(
            attempts,
            clock=lambda: self.now,
            sleep=self.sleep,
            jitter=lambda: 1.0,
        )


@pytest.fixture
def clock() -> Clock:
    return Clock()


def http(stand: Stand, path: str = "/adult.csv", **fields: Any) -> SourceSpec:
    return SourceSpec(type="http", url=stand.address + path, **fields)


def the_part(cache: Path) -> list[bytes]:
    return [path.read_bytes() for path in cache.rglob("*.part")]


def test_a_csv_file_is_read(stand: Stand, tmp_path: Path, clock: Clock) -> None:
    stand.script = [answer()]
    frame = read_source(http(stand), tmp_path, clock.retry())
    assert frame.shape == (2000, 2)
    assert the_part(tmp_path) == []
    assert clock.waits == []


@pytest.mark.parametrize("path", ["/adult.parquet", "/download?id=7"])
def test_a_parquet_file_is_known_by_its_content(
    path: str, stand: Stand, tmp_path: Path, clock: Clock
) -> None:
    buffer = io.BytesIO()
    pd.DataFrame({"age": [1, 2]}).to_parquet(buffer)
    stand.script = [answer(body=buffer.getvalue())]
    frame = read_source(http(stand, path), tmp_path, clock.retry())
    assert frame["age"].tolist() == [1, 2]


def test_a_cut_connection_is_resumed_where_it_broke(
    stand: Stand, tmp_path: Path, clock: Clock
) -> None:
    stand.script = [answer(cut=5000, ETag='"v1"'), resume()]
    frame = read_source(http(stand), tmp_path, clock.retry())
    assert frame["age"].tolist() == list(range(2000))
    assert stand.headers("Range") == [None, "bytes=5000-"]
    assert clock.waits == [0.5]


def test_the_part_of_a_killed_process_is_resumed_by_the_next(
    stand: Stand, tmp_path: Path, clock: Clock
) -> None:
    stand.script = [answer(cut=5000, ETag='"v1"')]
    with pytest.raises(SourceError, match="connection broke after 5,000 of"):
        read_source(http(stand), tmp_path, clock.retry(attempts=1))
    assert the_part(tmp_path) == [BODY[:5000]]
    stand.script = [resume()]
    assert len(read_source(http(stand), tmp_path, clock.retry())) == 2000
    assert stand.headers("Range")[-1] == "bytes=5000-"


def test_a_download_that_is_killed_leaves_a_part_that_the_next_one_ends(
    stand: Stand, tmp_path: Path, clock: Clock
) -> None:
    def half(handler: Handler) -> None:
        answer(cut=5000, ETag='"v1"')(handler)
        stand.released.wait()

    stand.script = [half, resume()]
    code = (
        "import sys; from pathlib import Path;"
        "from ml_assets.ml.sources import read_source;"
        "from ml_assets.spec.model import SourceSpec;"
        "read_source(SourceSpec(type='http', url=sys.argv[1]), Path(sys.argv[2]))"
    )
    address = f"{stand.address}/adult.csv"
    command = [sys.executable, "-c", code, address, str(tmp_path)]
    with subprocess.Popen(command) as process:
        while the_part(tmp_path) != [BODY[:5000]]:
            assert process.poll() is None
            stand.released.wait(0.02)
        process.kill()
    assert len(read_source(http(stand), tmp_path, clock.retry())) == 2000
    assert stand.headers("Range") == [None, "bytes=5000-"]


@pytest.mark.parametrize("tag", ['W/"v1"', None])
def test_without_a_strong_validator_a_download_starts_again(
    tag: str | None, stand: Stand, tmp_path: Path, clock: Clock
) -> None:
    headers = {"ETag": tag} if tag else {}
    stand.script = [answer(cut=5000, **headers), answer()]
    assert len(read_source(http(stand), tmp_path, clock.retry())) == 2000
    assert stand.headers("Range") == [None, None]


def test_a_file_that_changed_meanwhile_is_not_glued_to_the_old_part(
    stand: Stand, tmp_path: Path, clock: Clock
) -> None:
    stand.script = [
        answer(cut=5000, ETag='"v1"'),
        resume(BODY.replace(b"<=50K", b">50K"), tag='"v2"'),
    ]
    frame = read_source(http(stand), tmp_path, clock.retry())
    assert frame["income"].cat.categories.tolist() == [">50K"]


def test_a_range_other_than_the_one_asked_for_is_refused_and_read_anew(
    stand: Stand, tmp_path: Path, clock: Clock
) -> None:
    stand.script = [
        answer(cut=5000, ETag='"v1"'),
        answer(206, BODY[10:], Content_Range="bytes 10-99/100"),
        answer(),
    ]
    assert len(read_source(http(stand), tmp_path, clock.retry())) == 2000


def test_a_part_that_the_server_no_longer_has_is_dropped(
    stand: Stand, tmp_path: Path, clock: Clock
) -> None:
    stand.script = [answer(cut=5000, ETag='"v1"'), answer(416, b""), answer()]
    assert len(read_source(http(stand), tmp_path, clock.retry())) == 2000


def test_an_unchanged_file_is_not_sent_again(
    stand: Stand, tmp_path: Path, clock: Clock
) -> None:
    stand.script = [answer(ETag='"v1"'), answer(304, b"")]
    first = read_source(http(stand), tmp_path, clock.retry())
    second = read_source(http(stand), tmp_path, clock.retry())
    pd.testing.assert_frame_equal(first, second)
    assert stand.headers("If-None-Match") == [None, '"v1"']


def test_a_passing_fault_is_tried_again_with_growing_waits(
    stand: Stand, tmp_path: Path, clock: Clock
) -> None:
    stand.script = [answer(500, b""), hang_up, answer(503, b""), answer()]
    frame = read_source(http(stand), tmp_path, clock.retry(attempts=4))
    assert len(frame) == 2000
    assert clock.waits == [0.5, 1.0, 2.0]


def test_retry_after_is_honoured(stand: Stand, tmp_path: Path, clock: Clock) -> None:
    stand.script = [answer(429, b"", Retry_After="7"), answer()]
    read_source(http(stand), tmp_path, clock.retry())
    assert clock.waits == [7.0]


REFUSALS = [
    (
        [answer(401, b"")],
        "the server answered 401 Unauthorized; the address needs credentials that it"
        " was not given",
    ),
    (
        [answer(403, b"")],
        "the server answered 403 Forbidden; the address needs credentials that it was"
        " not given",
    ),
    (
        [answer(404, b"")],
        "the server answered 404 Not Found; there is no such file: check the address",
    ),
    (
        [answer(429, b"", Retry_After="3600")],
        "the server answered 429 Too Many Requests and asks to wait 3,600 s; run again"
        " after that",
    ),
    (
        [answer(500, b"")],
        "the server answered 500 Internal Server Error (3 attempts); try later",
    ),
    (
        [answer(cut=5000)],
        f"the connection broke after 5,000 of {len(BODY):,} bytes (3 attempts);"
        " try later",
    ),
    ([hang_up], "the connection failed (3 attempts); try later"),
    (
        [answer(body=b"<html>", Content_Type="text/html; charset=utf-8")],
        "the server sent a web page (text/html) and not a file; check the address, and"
        " whether it asks to log in",
    ),
]


@pytest.mark.parametrize("script, message", REFUSALS)
def test_each_fault_says_what_to_do(
    script: list[Step], message: str, stand: Stand, tmp_path: Path, clock: Clock
) -> None:
    stand.script = list(script)
    with pytest.raises(SourceError) as caught:
        read_source(http(stand), tmp_path, clock.retry())
    assert str(caught.value) == f"http source {stand.address}/adult.csv: {message}"


def test_a_server_that_is_not_there_is_named(
    stand: Stand, tmp_path: Path, clock: Clock
) -> None:
    spec = http(stand)
    close_stand(stand)
    with pytest.raises(SourceError, match=r"connection failed \(3 attempts\)"):
        read_source(spec, tmp_path, clock.retry())


def test_a_server_that_never_answers_is_left_at_the_time_out(
    stand: Stand, tmp_path: Path
) -> None:
    stand.script = [lambda handler: stand.released.wait() and None]
    with pytest.raises(SourceError) as caught:
        read_source(http(stand, timeout_seconds=0.2), tmp_path)
    assert str(caught.value) == (
        f"http source {stand.address}/adult.csv: the server did not answer, and the"
        " time-out of 0.2 s is used up; raise timeout_seconds or try later"
    )


def test_a_body_that_trickles_is_left_at_the_time_out(
    stand: Stand, tmp_path: Path
) -> None:
    def trickle(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(BODY)))
        handler.end_headers()
        for byte in BODY:
            try:
                handler.wfile.write(bytes([byte]))
            except OSError:
                return
            if stand.released.wait(0.01):
                return

    stand.script = [trickle]
    with pytest.raises(SourceError, match="the time-out of 0.3 s is used up"):
        read_source(http(stand, timeout_seconds=0.3), tmp_path)


def test_a_full_disk_is_said_and_the_next_download_is_whole(
    stand: Stand, tmp_path: Path, clock: Clock
) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    stand.script = [answer()]
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
    try:
        with pytest.raises(SourceError, match="cannot be written to .*/http: "):
            read_source(http(stand), tmp_path, clock.retry())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert len(read_source(http(stand), tmp_path, clock.retry())) == 2000


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/t.csv", "t.csv"])
def test_an_address_that_is_not_http_is_refused_with_the_yaml(url: str) -> None:
    with pytest.raises(ValueError, match="must begin with http://"):
        SourceSpec(type="http", url=url)


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/t.csv", "t.csv", "http://[::1/t"])
def test_what_a_variable_holds_is_looked_at_when_it_is_read(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ML_ASSETS_SOURCE_PLACE", url)
    spec = SourceSpec(type="http", url="${ML_ASSETS_SOURCE_PLACE}")
    with pytest.raises(SourceError, match="no usable HTTP address"):
        read_source(spec, tmp_path)


def test_a_wrong_digest_is_refused_and_a_right_one_spares_the_request(
    stand: Stand, tmp_path: Path, clock: Clock
) -> None:
    stand.script = [answer()]
    with pytest.raises(SourceError, match="SHA-256 is .* 0{64} was expected"):
        read_source(http(stand, sha256="0" * 64), tmp_path, clock.retry())
    from hashlib import sha256

    digest = sha256(BODY).hexdigest()
    for _ in range(2):
        read_source(http(stand, sha256=digest), tmp_path, clock.retry())
    assert len(stand.requests) == 2


def test_a_secret_in_the_address_shows_nowhere(
    stand: Stand,
    tmp_path: Path,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("DATA_TOKEN", "t0ken")
    caplog.set_level(logging.DEBUG)
    stand.script = [hang_up, answer(302, b"", Location="/a?t=t0ken"), answer(404, b"")]
    with pytest.raises(SourceError) as caught:
        read_source(
            http(stand, "/a.csv?t=${DATA_TOKEN}"), tmp_path / "cache", clock.retry()
        )
    assert stand.requests[0][0] == "/a.csv?t=t0ken"
    assert "/a.csv?t=${DATA_TOKEN}: the server answered 404" in str(caught.value)
    assert "t0ken" not in str(caught.value) + caplog.text
    assert caught.value.__context__ is None
    assert not [path for path in tmp_path.rglob("*") if "t0ken" in path.name]


@pytest.mark.parametrize(
    "location",
    [
        "http://169.254.169.254/latest/meta-data/",
        "//169.254.169.254/",
        "http://[::ffff:169.254.169.254]/",
        "http://[fd00:ec2::254]/",
        "http://[fe80::1]/",
    ],
)
def test_a_redirect_to_the_metadata_of_a_cloud_is_not_followed(
    stand: Stand, tmp_path: Path, clock: Clock, location: str
) -> None:
    stand.script = [answer(302, b"", Location=location)]
    with pytest.raises(SourceError, match="redirects to an address inside of our"):
        read_source(http(stand), tmp_path, clock.retry())
    assert len(stand.requests) == 1


@pytest.mark.parametrize(
    "host, inside",
    [
        ("93.184.216.34", "10.1.2.3"),
        ("93.184.216.34", "127.0.0.1"),
        ("93.184.216.34", "localhost"),
        ("10.1.2.3", "127.0.0.1"),
        ("10.1.2.3", "0.0.0.0"),
        ("nowhere.invalid", "192.168.0.1"),
    ],
)
def test_a_server_redirects_no_further_inside_than_it_stands(
    host: str, inside: str
) -> None:
    session = session_of("http source", f"http://{host}/a.csv")
    response = requests.Response()
    response.url, response.status_code = f"http://{host}/a.csv", 302
    response.headers["Location"] = f"http://{inside}/"
    with pytest.raises(SourceError, match="not followed"):
        session.get_redirect_target(response)
    # The other way round is what a proxy in front of a store does.
    back = session_of("http source", f"http://{inside}/a.csv")
    response.url, response.headers["Location"] = f"http://{inside}/", f"http://{host}/"
    assert back.get_redirect_target(response) == f"http://{host}/"


def test_many_readers_at_once_each_get_the_whole_file(
    stand: Stand, tmp_path: Path, clock: Clock
) -> None:
    stand.script = [resume()]
    lengths: list[int] = []

    def read() -> None:
        lengths.append(len(read_source(http(stand), tmp_path)))

    threads = [threading.Thread(target=read) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert lengths == [2000] * 8


# Kaggle


@pytest.fixture
def kaggle(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> SourceSpec:
    monkeypatch.setenv("KAGGLE_API_ENDPOINT", stand.address)
    monkeypatch.setenv("KAGGLE_JSON", json.dumps({"username": "ann", "key": KEY}))
    return SourceSpec(type="kaggle", dataset="uciml/adult", file="adult.csv")


def zipped(**members: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name.replace("__", "."), content)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "body", [BODY, zipped(adult__csv=BODY)], ids=["raw csv", "zip archive"]
)
def test_a_kaggle_file_comes_raw_or_zipped(
    body: bytes, kaggle: SourceSpec, stand: Stand, tmp_path: Path, clock: Clock
) -> None:
    stand.script = [answer(body=body)]
    frame = read_source(kaggle, tmp_path, clock.retry())
    assert frame.shape == (2000, 2)
    path, headers = stand.requests[0]
    assert path == "/api/v1/datasets/download/uciml/adult/adult.csv"
    assert headers["Authorization"] == "Basic YW5uOnMzY3JldC1rYWdnbGUta2V5"


def test_kaggle_credentials_may_lie_in_a_file(
    kaggle: SourceSpec,
    stand: Stand,
    tmp_path: Path,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    token = tmp_path / "kaggle.json"
    token.write_text(json.dumps({"username": "ann", "key": KEY}))
    monkeypatch.setenv("KAGGLE_JSON", str(token))
    stand.script = [answer()]
    read_source(kaggle, tmp_path / "cache", clock.retry())
    assert stand.headers("Authorization") == ["Basic YW5uOnMzY3JldC1rYWdnbGUta2V5"]


def test_kaggle_credentials_do_not_follow_a_redirect_to_another_host(
    kaggle: SourceSpec, stand: Stand, other: Stand, tmp_path: Path, clock: Clock
) -> None:
    stand.script = [answer(302, b"", Location=f"{other.address}/signed")]
    other.script = [answer()]
    assert len(read_source(kaggle, tmp_path, clock.retry())) == 2000
    assert stand.headers("Authorization") != [None]
    assert other.headers("Authorization") == [None]


KAGGLE_FAULTS = [
    (401, "create a token at https://www.kaggle.com/settings"),
    (403, "accept the data set's terms on its page, or create a token"),
    (404, r"check dataset \(owner/name\) and file, and that the data set's terms"),
]


@pytest.mark.parametrize("status, message", KAGGLE_FAULTS)
def test_each_kaggle_fault_says_what_to_do_and_no_secret(
    status: int,
    message: str,
    kaggle: SourceSpec,
    stand: Stand,
    tmp_path: Path,
    clock: Clock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    stand.script = [answer(status, b"")]
    with pytest.raises(SourceError, match=message) as caught:
        read_source(kaggle, tmp_path, clock.retry())
    assert str(caught.value).startswith("kaggle source uciml/adult/adult.csv: ")
    assert KEY not in str(caught.value) + caplog.text


def test_kaggle_says_how_long_to_wait(
    kaggle: SourceSpec, stand: Stand, tmp_path: Path, clock: Clock
) -> None:
    stand.script = [answer(429, b"", Retry_After="900")]
    with pytest.raises(SourceError, match="asks to wait 900 s; run again after that"):
        read_source(kaggle, tmp_path, clock.retry())


@pytest.mark.parametrize(
    "setting",
    ['{"username": "ann"', '{"username": "ann"}', '{"username": 1, "key": 2}', "/no"],
)
def test_unusable_kaggle_credentials_are_refused_before_any_request(
    setting: str,
    kaggle: SourceSpec,
    stand: Stand,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("KAGGLE_JSON", setting)
    with pytest.raises(SourceError, match="KAGGLE_JSON .* create a token") as caught:
        read_source(kaggle, tmp_path)
    assert "ann" not in str(caught.value)
    assert stand.requests == []


ARCHIVES = [
    (zipped(other__csv=BODY), "holds 'other.csv'; 'adult.csv' was expected"),
    (zipped(a__csv=BODY, b__csv=BODY), "holds 2 files; 1 was expected"),
    (zipped(), "holds 0 files; 1 was expected"),
    (zipped(adult__csv=BODY)[:-30], "the zip archive is damaged"),
    (zipped(**{"../adult__csv": BODY}), "'adult.csv' was expected"),
]


@pytest.mark.parametrize("body, message", ARCHIVES)
def test_a_suspicious_archive_is_refused(
    body: bytes,
    message: str,
    kaggle: SourceSpec,
    stand: Stand,
    tmp_path: Path,
    clock: Clock,
) -> None:
    stand.script = [answer(body=body)]
    with pytest.raises(SourceError, match=message):
        read_source(kaggle, tmp_path, clock.retry())


def test_an_archive_that_would_fill_the_memory_is_refused(
    kaggle: SourceSpec,
    stand: Stand,
    tmp_path: Path,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("ml_assets.ml.sources.payload.LARGEST_MEMBER", 1000)
    stand.script = [answer(body=zipped(adult__csv=BODY))]
    with pytest.raises(SourceError, match="at most 1,000 are allowed"):
        read_source(kaggle, tmp_path, clock.retry())
