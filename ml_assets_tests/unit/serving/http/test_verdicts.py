"""A key that comes again is looked up anew once a second, and refused at once."""

from datetime import UTC, datetime

import pytest

from ml_assets.serving.access.callers import Verdict
from ml_assets.serving.access.followed_keys import FollowedKeys
from ml_assets.serving.http.admission import Admission
from ml_assets.serving.metrics.collector import Metrics
from ml_assets.serving.requests.problems import Problem
from ml_assets_tests.kits.access import key, write_keys
from ml_assets_tests.kits.identity_provider import IdentityProvider, new_key

END = datetime(2999, 1, 1, tzinfo=UTC).timestamp()


class Again:
    """Sends one head again and again, at times of the performance counter."""

    def __init__(self, file, credential=b"web.secret"):
        metrics = Metrics()
        self.followed = FollowedKeys(file, metrics.callers)
        self.admission = Admission(self.followed, metrics)
        self.verdict = Verdict()
        self.credential = credential

    def __call__(self, now, model="a"):
        try:
            self.admission.admit_again(self.verdict, self.credential, model, now)
        except Problem as problem:
            return problem.status
        return 200


@pytest.fixture
def file(tmp_path):
    return tmp_path / "keys.json"


@pytest.fixture
def clock(monkeypatch):
    """The wall clock, which a test sets."""
    found = [END - 0.5]
    monkeypatch.setattr("ml_assets.serving.access.callers.time", lambda: found[0])
    return found


def test_a_revoked_key_is_refused_with_the_file(file):
    asked = Again(write_keys(file, key("web"), key("other")))
    assert [asked(5.0), asked(5.001)] == [200, 200]
    write_keys(file, key("other"))
    asked.followed.follow()
    assert asked(5.002) == 401


def test_a_key_that_may_do_less_is_refused_with_the_file(file):
    asked = Again(write_keys(file, key("web")))
    assert asked(5.0) == 200
    write_keys(file, key("web", routes=["metadata"]))
    asked.followed.follow()
    assert asked(5.001) == 403


def test_a_key_is_refused_from_its_expiry_on(file, clock):
    asked = Again(write_keys(file, key("web", expires="2999-01-01")))
    assert [asked(5.0), asked(5.499)] == [200, 200]
    clock[0] = END
    assert asked(5.5) == 401


def test_a_clock_that_was_set_counts_after_a_second(file, clock):
    asked = Again(write_keys(file, key("web", expires="2999-01-01")))
    clock[0] = END - 1000
    assert asked(5.0) == 200
    clock[0] = END
    assert asked(6.0) == 401


def test_another_model_at_the_same_address_is_asked_for(file):
    asked = Again(write_keys(file, key("web", models=["a"])))
    assert [asked(5.0), asked(5.001, "b"), asked(5.002)] == [200, 403, 200]


def test_whoever_asks_too_often_is_refused_each_time(file):
    asked = Again(write_keys(file, key("web", rate=2)))
    assert [asked(5.0) for _ in range(4)] == [200, 200, 429, 429]
    assert asked(5.5) == 200


def test_a_token_is_refused_with_its_issuers_key(file):
    with IdentityProvider().running() as provider:
        token = provider.token().encode()
        asked = Again(write_keys(file, issuers=[provider.issuer()]), token)
        asked.followed.refresh(0.0)
        assert [asked(5.0), asked(5.001)] == [200, 200]
        provider.keys[:] = [new_key("second")]
        asked.followed.refresh(1e9)
        assert asked(5.002) == 401


def test_nobody_without_a_key_is_let_in_longer_than_the_file_says(file):
    grant = {"models": ["a"], "routes": ["predict"]}
    asked = Again(write_keys(file, key("web"), anonymous=grant), None)
    assert asked(5.0) == 200
    write_keys(file, key("web"))
    asked.followed.follow()
    assert asked(5.001) == 401
