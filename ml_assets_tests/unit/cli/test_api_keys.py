"""``ml-assets keys add|list|revoke``, and the key that our own client sends."""

import json
import stat

import pytest
from click.testing import CliRunner

from ml_assets.cli import main
from ml_assets.cli.client import ServerClient
from ml_assets.core.api_key import credentials
from ml_assets.serving.access.keys import read
from ml_assets_tests.kits.access import key, write_keys


@pytest.fixture
def file(tmp_path):
    return tmp_path / "keys.json"


def run(file, *arguments, code=0):
    result = CliRunner().invoke(main, ["keys", *arguments, "--file", str(file)])
    assert result.exit_code == code, result.output
    return result


def test_a_key_is_printed_once_and_kept_as_its_hash(file):
    result = run(
        file, "add", "web", "--models", "churn*, fraud", "--routes", "predict,lookup",
        *("--expires", "2999-01-01", "--rate", "2.5"),
    )  # fmt: skip
    token = result.stdout.strip()
    assert token.startswith("web.")
    assert token.partition(".")[2] not in file.read_text()
    (found,) = read(file).keys
    assert found.models == ("churn*", "fraud")
    assert (found.routes, found.rate) == (("predict", "lookup"), 2.5)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert token.partition(".")[2] not in run(file, "list").output


def test_keys_are_listed_with_what_they_allow(file):
    write_keys(
        file,
        key("old", expires="2020-01-01", routes=["predict"]),
        key("web", models=["churn*"], routes=["predict", "feedback"], rate=5),
        anonymous={"models": ["demo"], "routes": ["metadata"]},
    )
    assert run(file, "list").output.splitlines() == [
        "old  *  predict  expired 2020-01-01  any rate",
        "web  churn*  predict,feedback  no end  5/s",
        "(no key)  demo  metadata  no end  any rate",
    ]
    assert json.loads(run(file, "list", "--json").output)["keys"][1]["id"] == "web"


def test_a_revoked_key_is_gone_and_the_others_stay(file):
    write_keys(file, key("web"), key("batch"))
    file.chmod(0o640)
    run(file, "revoke", "web")
    assert [item.id for item in read(file).keys] == ["batch"]
    assert stat.S_IMODE(file.stat().st_mode) == 0o640


@pytest.mark.parametrize(
    "arguments, code, reason",
    [
        (("add", "web"), 1, "two keys have the id web"),
        (("add", "a b"), 1, "the caller is 'a b', expected 1 to 64 letters"),
        (("add", "anonymous"), 1, "has the id anonymous, expected another"),
        (("add", "x", "--expires", "soon"), 1, "expires is 'soon', expected a date"),
        (("add", "x", "--routes", "write"), 2, "found 'write', expected some of"),
        (("add", "x", "--models", ","), 2, "expected at least one"),
        (("add", "x", "--rate", "0"), 2, "0.0 is not in the range"),
        (("revoke", "other"), 1, "has no key other; it has web"),
    ],
)
def test_what_cannot_be_is_refused_and_the_file_stays(file, arguments, code, reason):
    before = write_keys(file, key("web")).read_bytes()
    assert reason in run(file, *arguments, code=code).output.replace("\n", " ")
    assert file.read_bytes() == before


def test_no_file_is_no_list(file):
    assert "cannot be read: No such file" in run(file, "list", code=1).output


def test_our_clients_send_the_key_of_the_environment_or_of_a_file(
    tmp_path, monkeypatch
):
    assert credentials() == {}
    (tmp_path / "key").write_text("web.fromfile\n")
    monkeypatch.setenv("ML_ASSETS_API_KEY_FILE", str(tmp_path / "key"))
    assert credentials() == {"authorization": "Bearer web.fromfile"}
    monkeypatch.setenv("ML_ASSETS_API_KEY", "web.secret")
    assert credentials() == {"authorization": "Bearer web.secret"}


def test_a_key_file_of_a_client_that_is_not_there_is_named(monkeypatch):
    monkeypatch.setenv("ML_ASSETS_API_KEY_FILE", "/none/key")
    with pytest.raises(Exception, match="API_KEY_FILE /none/key cannot be read"):
        ServerClient("http://127.0.0.1:1")
