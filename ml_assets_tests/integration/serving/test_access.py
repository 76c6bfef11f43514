"""A server process with API keys: who is let in, and how soon a key counts no more."""

import http.client
import json
import random
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from ml_assets.cli import main
from ml_assets_tests.kits.access import bearer, key, write_keys
from ml_assets_tests.kits.identity_provider import IdentityProvider, new_key
from ml_assets_tests.kits.serving import Server

pytestmark = pytest.mark.slow

PREDICT = "/models/census/predict"


class Client:
    """One connection, on which every request is answered, refused or not."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

    def ask(
        self, path: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, dict[str, str], Any]:
        given = {"content-type": "application/json", **(headers or {})}
        data = None if body is None else json.dumps(body)
        self._connection.request("GET" if body is None else "POST", path, data, given)
        answer = self._connection.getresponse()
        found = {name.lower(): value for name, value in answer.getheaders()}
        return answer.status, found, json.loads(answer.read())


def keys(*arguments: str) -> str:
    result = CliRunner().invoke(main, ["keys", *arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout.strip()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "keys.json"


def test_of_a_thousand_attempts_none_gets_in(storage, versions, file):
    write_keys(
        file, key("expired", expires="2026-01-01"), key("foreign", models=["fraud*"])
    )
    good = keys("add", "web", "--models", "cens*", "--file", str(file))
    labels_only = keys("add", "labels", "--routes", "feedback", "--file", str(file))
    revoked = keys("add", "gone", "--routes", "admin", "--file", str(file))
    body = {"rows": versions[2][:1]}
    rng = random.Random(7)
    with Server(storage, "--keys-file", str(file)) as server:
        server.wait_for("plan loaded")
        client = Client(server.port)
        assert client.ask(PREDICT, body, bearer(revoked))[0] == 200
        keys("revoke", "gone", "--file", str(file))
        server.wait_for("API keys changed")

        def changed() -> str:
            at = rng.randrange(len(good))
            other = rng.choice([char for char in "abcXYZ019-_." if char != good[at]])
            return good[:at] + other + good[at + 1 :]

        attempts = {
            "wrong": (changed, 401),
            "cut": (lambda: good[: rng.randrange(len(good))], 401),
            "expired": (lambda: "expired.secret", 401),
            "revoked": (lambda: revoked, 401),
            "of another model": (lambda: "foreign.secret", 403),
            "of another route": (lambda: labels_only, 403),
        }
        paths = [PREDICT, "/v2/models/census/infer", "/invocations?model=census"]
        found: Counter[tuple[str, int]] = Counter()
        for number in range(1000):
            name = list(attempts)[number % len(attempts)]
            make, _ = attempts[name]
            credential = make()
            header = rng.choice([bearer(credential), {"x-api-key": credential}])
            status, _, answer = client.ask(rng.choice(paths), body, header)
            assert "predictions" not in answer and "outputs" not in answer
            found[name, status] += 1
        assert set(found) == {(name, status) for name, (_, status) in attempts.items()}
        assert client.ask(PREDICT, body, bearer(good))[0] == 200
        metrics = server.get("/metrics", server.metrics_port)[1].decode()
        refused = found["wrong", 401] + found["cut", 401]
        refused += found["expired", 401] + found["revoked", 401]
        name = "ml_assets_caller_requests_total"
        assert f'{name}{{caller="unknown",status="401"}} {refused}.0' in metrics
        assert f'{name}{{caller="web",status="200"}} 1.0' in metrics
        line = server.logged("callers were refused", user__id="foreign")
        assert line["http.response.status_code"] == 403
        assert server.stop() == 0


def test_of_a_thousand_tampered_tokens_none_gets_in(storage, versions, file):
    body, rng = {"rows": versions[2][:1]}, random.Random(7)
    reader = {"value": "read", "models": ["*"], "routes": ["metadata"]}
    scorer = {"value": "ml", "models": ["cens*"], "routes": ["predict"]}
    with IdentityProvider().running() as provider:
        issuer = provider.issuer(grants=[reader, scorer])
        write_keys(file, issuers=[issuer])
        with Server(storage, "--keys-file", str(file)) as server:
            server.wait_for("plan loaded")
            server.logged("keys of an issuer fetched", issuer="acme", count=1)
            client, good = Client(server.port), provider.token()
            assert client.ask(PREDICT, body, bearer(good))[0] == 200
            stranger = new_key("first")

            def tampered() -> str:
                # The last character of a signature has bits that nobody reads.
                at = rng.randrange(len(good) - 1)
                other = rng.choice([c for c in "abcXYZ019-_." if c != good[at]])
                return good[:at] + other + good[at + 1 :]

            attempts = {
                "tampered": (tampered, 401),
                "cut": (lambda: good[: rng.randrange(len(good))], 401),
                "expired": (lambda: provider.token(exp=rng.randrange(10**9)), 401),
                "of another audience": (lambda: provider.token(aud="shop"), 401),
                "signed by another": (lambda: provider.token(stranger), 401),
                "of another scope": (lambda: provider.token(scope="read"), 403),
            }
            found: Counter[tuple[str, int]] = Counter()
            for number in range(1000):
                name = list(attempts)[number % len(attempts)]
                status, _, answer = client.ask(
                    PREDICT, body, bearer(attempts[name][0]())
                )
                assert "predictions" not in answer
                found[name, status] += 1
            assert set(found) == {
                (name, status) for name, (_, status) in attempts.items()
            }
            assert client.ask(PREDICT, body, bearer(good))[0] == 200
            metrics = server.get("/metrics", server.metrics_port)[1].decode()
            name = "ml_assets_caller_requests_total"
            assert f'{name}{{caller="acme",status="200"}} 2.0' in metrics
            assert "ann" not in metrics


def test_keys_are_followed_by_every_worker_and_a_broken_file_changes_nothing(
    storage, versions, file
):
    first = keys("add", "first", "--routes", "metadata", "--file", str(file))
    with Server(storage, "--keys-file", str(file), "--workers", "2") as server:
        started = "callers need an API key"
        while [line["message"] for line in server.seen].count(started) < 2:
            server.wait_for(started)
        second = keys("add", "second", "--routes", "metadata", "--file", str(file))
        for _ in range(2):
            server.wait_for("API keys changed")
        file.write_text("{")
        for _ in range(2):
            server.wait_for("API keys are those of before: the file cannot be used")
        for credential in (first, second):
            assert Client(server.port).ask("/v2", None, bearer(credential))[0] == 200
        assert Client(server.port).ask("/v2/health/live")[0] == 200
        assert Client(server.port).ask("/v2")[0] == 401


def test_a_prediction_is_found_by_callers_of_its_model_alone(storage, versions, file):
    write_keys(file, key("all"), key("other", models=["fraud"]))
    with Server(storage, "--keys-file", str(file)) as server:
        server.wait_for("plan loaded")
        client = Client(server.port)
        answer = client.ask(PREDICT, {"rows": versions[2][:1]}, bearer("all.secret"))[2]
        path = f"/predictions/{answer['predictions'][0]['id']}"
        assert client.ask(path, None, bearer("all.secret"))[0] == 200
        never = f"/predictions/{path[-36:-4]}0000"
        refusals = [
            client.ask(asked, None, bearer("other.secret") | {"x-request-id": "r"})
            for asked in (path, never)
        ]
        assert refusals[0] == refusals[1] and refusals[0][0] == 404


def test_a_server_whose_keys_cannot_be_read_does_not_start(storage, file):
    file.write_text('{"keys": [{"id": "web"}]}')
    with pytest.raises(AssertionError, match="missing required field `models`"):
        Server(storage, "--keys-file", str(file))


def test_without_keys_everybody_is_answered_and_the_log_says_so(storage):
    with Server(storage) as server:
        line = server.logged(
            "every caller is answered: ML_ASSETS_KEYS_FILE names no file of API keys"
        )
        assert line["log.level"] == "info"
        assert server.get("/v2")[0] == 200
