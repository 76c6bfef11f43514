"""The file of API keys: what is in it, what is refused, and how it is followed."""

import json

import pytest

from ml_assets.core.logs import labelled
from ml_assets.serving.access.callers import Callers
from ml_assets.serving.access.followed_keys import FollowedKeys
from ml_assets.serving.access.keys import KeyFileError, new_key, parse, read
from ml_assets_tests.kits.access import key, write_keys


def callers(*keys, **more):
    return Callers(parse(json.dumps({"keys": keys, **more}).encode(), "keys.json"), {})


@pytest.mark.parametrize(
    "changes, reason",
    [
        ({"routes": ["write"]}, r"Invalid enum value 'write'.*keys\[0\]\.routes\[0\]"),
        ({"models": []}, r"length >= 1.*keys\[0\]\.models"),
        ({"rate": 0}, r"`float` > 0.0.*keys\[0\]\.rate"),
        ({"sha256": "abc"}, r"regex.*keys\[0\]\.sha256"),
        ({"secret": "x"}, r"unknown field `secret`"),
        ({"id": "a b"}, r"regex.*keys\[0\]\.id"),
        ({"id": "unknown"}, "has the id unknown, expected another"),
        ({"expires": "soon"}, "key web: expires is 'soon', expected a date"),
    ],
)
def test_a_wrong_key_is_named_with_its_file(changes, reason):
    with pytest.raises(KeyFileError, match=f"keys.json: .*{reason}"):
        callers(key("web") | changes)


def test_two_keys_with_one_id_are_refused():
    with pytest.raises(KeyFileError, match="two keys have the id web"):
        callers(key("web"), key("web", "other"))


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(KeyFileError, match=r"keys.json cannot be read: No such file"):
        read(tmp_path / "keys.json")


def test_a_new_key_is_known_by_its_hash_and_holds_its_id():
    token, sha256 = new_key("web")
    assert token.startswith("web.") and len(token) > 40
    assert new_key("web")[0] != token
    found = callers(key("web") | {"sha256": sha256}).of(token.encode())
    assert found is not None and found.id == "web"


@pytest.mark.parametrize(
    "credential",
    [
        "web",
        "web.",
        "web.wrong",
        "other.secret",
        "",
        ".",
        ".secret",
        "web.secret ",
        "é",
    ],
)
def test_no_other_text_is_a_key(credential):
    assert callers(key("web")).of(credential.encode()) is None


@pytest.mark.parametrize(
    "expires, is_known",
    [
        ("", True),
        ("2999-01-01", True),
        ("2999-01-01T00:00:00+02:00", True),
        ("2020-01-01", False),
        ("2020-01-01T00:00:00Z", False),
    ],
)
def test_a_key_is_refused_from_its_expiry_on(expires, is_known):
    found = callers(key("web", expires=expires)).of(b"web.secret")
    assert (found is not None) is is_known


def test_a_key_that_was_verified_before_is_refused_from_its_expiry_on(monkeypatch):
    known = callers(key("web", expires="2999-01-01"))
    assert known.of(b"web.secret") is not None
    monkeypatch.setattr("ml_assets.serving.access.callers.time", lambda: 4e10)
    assert known.of(b"web.secret") is None


@pytest.mark.parametrize(
    "globs, seen",
    [
        (["churn*"], ["churn", "churn_eu"]),
        (["churn", "frau?"], ["churn", "fraud"]),
        (["*"], ["churn", "churn_eu", "fraud", "my_churn"]),
        (["CHURN"], []),
    ],
)
def test_the_models_of_a_key_are_matched_whole(globs, seen):
    caller = callers(key("web", models=globs)).of(b"web.secret")
    names = ["churn", "churn_eu", "fraud", "my_churn"]
    assert [name for name in names if caller.sees(name)] == seen


def test_without_a_key_only_what_the_file_says_is_answered():
    assert callers(key("web")).of(None) is None
    anonymous = {"models": ["demo"], "routes": ["metadata"]}
    found = callers(anonymous=anonymous).of(None)
    assert found.id == "anonymous"
    assert found.may("metadata", None) and found.may("metadata", "demo")
    assert not found.may("predict", "demo") and not found.may("metadata", "churn")


def test_a_rate_goes_on_when_the_file_changes_elsewhere(tmp_path):
    slow = key("slow", rate=1)
    followed = FollowedKeys(write_keys(tmp_path / "keys.json", slow), {})
    assert followed.callers.of(b"slow.secret").bucket.wait(0.0) == 0
    write_keys(tmp_path / "keys.json", slow, key("web"))
    followed.follow()
    assert followed.callers.of(b"web.secret") is not None
    assert followed.callers.of(b"slow.secret").bucket.wait(0.0) == 1


def test_a_file_that_breaks_leaves_the_keys_of_before(tmp_path, caplog):
    file = write_keys(tmp_path / "keys.json", key("web"))
    followed = FollowedKeys(file, {})
    for broken in ("{", '{"keys": [{}]}', None):
        caplog.clear()
        file.unlink() if broken is None else file.write_text(broken)
        followed.follow()
        followed.follow()
        assert followed.callers.of(b"web.secret") is not None
        (record,) = caplog.records
        assert "the file cannot be used" in record.message
    write_keys(file, key("other"))
    followed.follow()
    assert followed.callers.of(b"web.secret") is None
    assert followed.callers.of(b"other.secret") is not None


def test_refusals_are_logged_by_caller_with_their_number(tmp_path, caplog):
    counts = {}
    followed = FollowedKeys(write_keys(tmp_path / "keys.json", key("web")), counts)
    caplog.set_level("INFO", "ml_assets.serving")
    counts["unknown"][401] = 3
    counts["web"] |= {200: 5, 403: 1}
    followed.report()
    followed.report()
    assert [record.fields for record in caplog.records] == [
        labelled(
            {"user__id": who, "http__response__status_code": status, "count": count}
        )
        for who, status, count in (("unknown", 401, 3), ("web", 403, 1))
    ]
