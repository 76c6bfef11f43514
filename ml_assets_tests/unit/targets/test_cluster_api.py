"""Requests to a cluster: who asks whom, and what becomes of each kind of answer."""

import datetime as dt
import ipaddress
import logging
import ssl
import threading
import types
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from kubernetes.config import incluster_config

from ml_assets.targets.clusters import (
    Cluster,
    ClusterError,
    Connection,
    Deployment,
    connect,
)
from ml_assets_tests.kits.kubernetes_api import TOKEN, KubernetesApi

NAME = "code-location"


@pytest.fixture
def api() -> Iterator[KubernetesApi]:
    api = KubernetesApi()
    api.add(NAME)
    with api.running():
        yield api


@contextmanager
def server(body: bytes, wait: float = 0.0) -> Iterator[ThreadingHTTPServer]:
    """Answers every request with `body`, after a while; counts them in `requests`."""
    released = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            return

        def do_GET(self) -> None:
            server.requests.append(self.headers["Authorization"])
            released.wait(wait)
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.requests = []
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield server
    finally:
        released.set()
        server.shutdown()
        server.server_close()
        thread.join()


def at(
    server: ThreadingHTTPServer, scheme: str = "http", **settings: str
) -> Connection:
    environ = {
        "K8S_SERVER": f"{scheme}://127.0.0.1:{server.server_port}",
        "K8S_TOKEN": TOKEN,
        **settings,
    }
    return connect("K8S", environ)


def test_a_refusal_is_raised_at_once_with_server_and_reason(api: KubernetesApi) -> None:
    absent = 'deployments.apps "nobody" not found'
    message = f"{api.url}: read Deployment ml/nobody: 404: {absent}"
    with pytest.raises(ClusterError, match=message) as caught:
        Deployment(api.cluster(), "nobody", "tests").read()
    assert caught.value.status == 404
    assert len(api.requests) == 1


def test_a_redirect_is_refused_and_the_token_stays_here(api: KubernetesApi) -> None:
    with server(b"{}") as other:
        api.fail(307, Location=f"http://127.0.0.1:{other.server_port}/")
        with pytest.raises(ClusterError, match="307: a redirect to .*, expected an"):
            api.cluster().deployment(NAME)
        assert other.requests == []
    assert len(api.requests) == 1


@pytest.mark.parametrize("body", [b"<html>log in</html>", b"[]", b"\xff"])
def test_an_answer_that_is_none_of_the_api_is_asked_for_again(body: bytes) -> None:
    with server(body) as proxy:
        message = "did not serve us for 0.5 s: .*: the answer is none of the Kubernetes"
        with pytest.raises(ClusterError, match=message):
            Cluster(at(proxy), patience=0.5).deployment(NAME)
        assert len(proxy.requests) > 1


def test_a_server_that_never_answers_is_given_up() -> None:
    with server(b"{}", wait=20.0) as silent:
        cluster = Cluster(at(silent), patience=0.3, seconds=0.2)
        with pytest.raises(ClusterError, match="no answer: .*timed out"):
            cluster.deployment(NAME)
        # A watch may be silent: it ends, and what changed is read by the next.
        assert list(cluster.watch_deployment(NAME, "1", 0)) == []


def test_a_field_that_the_client_does_not_know_survives_a_change(
    api: KubernetesApi,
) -> None:
    def add_field(found: dict[str, Any]) -> None:
        container = found["spec"]["template"]["spec"]["containers"][0]
        container["fieldOfTheNextRelease"] = {"kept": True}

    def set_image(template: dict[str, Any]) -> None:
        template["spec"]["containers"][0]["image"] = "server@sha256:2"

    api.edit(NAME, add_field)
    Deployment(api.cluster(), NAME, "tests").change(set_image)
    (container,) = api.template(NAME)["spec"]["containers"]
    assert container["image"] == "server@sha256:2"
    assert container["fieldOfTheNextRelease"] == {"kept": True}


def test_the_token_is_in_no_log_and_in_no_error(
    api: KubernetesApi, caplog: pytest.LogCaptureFixture
) -> None:
    cluster = api.cluster(patience=0.5)
    with caplog.at_level(logging.DEBUG), caplog.at_level(logging.DEBUG, "urllib3"):
        cluster.deployment(NAME)
        list(cluster.watch_deployment(NAME, "0", 1))
        api.is_down = True
        with pytest.raises(ClusterError) as away:
            cluster.deployment(NAME)
        torn = connect("K8S", {**api.environment(), "K8S_TOKEN": f"{TOKEN}\n{TOKEN}"})
        with pytest.raises(
            ClusterError, match="is no header, expected one line"
        ) as bad:
            Cluster(torn).deployment(NAME)
    assert "GET /apis/apps/v1/namespaces/ml/deployments" in caplog.text
    for text in (caplog.text, repr(torn), str(away.value), str(bad.value)):
        assert TOKEN not in text
    assert bad.value.__cause__ is None and bad.value.__suppress_context__


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate of 127.0.0.1 that nobody but itself has signed, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "cluster")])
    now = dt.datetime.now(dt.UTC)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path / "server.pem"
    path.write_bytes(
        signed.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return path


def test_only_a_server_whose_certificate_is_trusted_gets_the_token(
    certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with server(b"{}") as running:
        running.socket = context.wrap_socket(running.socket, server_side=True)
        with pytest.raises(ClusterError, match="CERTIFICATE_VERIFY_FAILED"):
            Cluster(at(running, "https"), patience=0.3).deployment(NAME)
        assert running.requests == []
        trusting = at(running, "https", K8S_CA_FILE=str(certificate))
        assert Cluster(trusting).deployment(NAME) == {}
        assert running.requests == [f"Bearer {TOKEN}"]


# Which cluster


def test_a_server_and_a_token_are_enough(api: KubernetesApi) -> None:
    environ = api.environment("K8S_STAGING")
    assert connect("K8S_STAGING", environ).server == api.url


@pytest.mark.parametrize(
    "environ, message",
    [
        ({}, "no cluster is known: K8S_SERVER is not set"),
        ({"K8S_SERVER": "https://a"}, "K8S_SERVER is set, but K8S_TOKEN is not"),
        ({"K8S_SERVER": "http://a", "K8S_TOKEN": "t"}, "expected an https:// address"),
        (
            {"K8S_SERVER": "https://a", "K8S_TOKEN": "t", "K8S_CA_FILE": "/no/file"},
            "K8S_CA_FILE names /no/file, which is not a file",
        ),
    ],
)
def test_incomplete_settings_are_refused(
    environ: dict[str, str], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ClusterError, match=message):
        connect("K8S", environ, account=tmp_path)


def authorization(found: Connection) -> str:
    """What a request sends."""
    value: str = found.configuration.auth_settings()["BearerToken"]["value"]
    return value


def test_the_account_of_the_pod_is_used_and_its_token_read_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = dt.datetime(2026, 11, 23, 2)
    clock = types.SimpleNamespace(now=lambda: now)
    monkeypatch.setattr(
        incluster_config,
        "datetime",
        types.SimpleNamespace(datetime=clock, timedelta=dt.timedelta),
    )
    for name, text in [("token", "one"), ("namespace", "ml\n"), ("ca.crt", "PEM")]:
        (tmp_path / name).write_text(text)
    environ = {"KUBERNETES_SERVICE_HOST": "fd00::1", "KUBERNETES_SERVICE_PORT": "443"}
    found = connect("K8S", environ, account=tmp_path)
    assert (found.server, found.namespace) == ("https://[fd00::1]:443", "ml")
    assert found.configuration.ssl_ca_cert == str(tmp_path / "ca.crt")
    assert found.configuration.verify_ssl
    assert authorization(found) == "bearer one"
    (tmp_path / "token").write_text("two")
    now += dt.timedelta(minutes=1)
    assert authorization(found) == "bearer two"
    assert "two" not in repr(found)


@pytest.mark.parametrize("no_proxy, expected", [("", "http://p:1"), ("a.com", None)])
def test_the_proxy_is_the_one_of_the_servers_scheme(
    no_proxy: str, expected: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("https_proxy", "http://p:1")
    monkeypatch.setenv("http_proxy", "http://q:1")
    monkeypatch.setenv("no_proxy", no_proxy)
    found = connect("K8S", {"K8S_SERVER": "https://k.a.com", "K8S_TOKEN": "t"})
    assert found.configuration.proxy == expected
