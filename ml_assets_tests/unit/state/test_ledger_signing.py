"""Who can write the ledger but lacks its key can forge no entry."""

from pathlib import Path

import click.testing
import pytest
from sqlalchemy import text

from ml_assets.cli import main
from ml_assets.core.signing import SHARED, SIGNING, SigningKeyError
from ml_assets.state.engine import writing
from ml_assets.state.ledger import Ledger
from ml_assets_tests.kits.ledger_rows import Row, edit, make_anew, rewrite
from ml_assets_tests.kits.signing import make_keys

KEY = "a-key-of-the-tests-that-is-long-enough"
OTHER = "another-key-that-is-long-enough-as-well"


@pytest.fixture
def ledger(home: Path, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    """Two entries from before there was a key, and three since."""
    found = Ledger()
    add(found, 1, 2)
    monkeypatch.setenv(SHARED, KEY)
    add(found, 3, 4, 5)
    return found


def add(ledger: Ledger, *numbers: int) -> None:
    for number in numbers:
        ledger.append("churn", "deployment", f"v{number}", None, "ana", "passed", {})


def messages(ledger: Ledger) -> list[str]:
    return [problem.message for problem in ledger.verify("churn")]


def test_entries_from_before_the_key_are_good_and_covered(ledger: Ledger) -> None:
    entries = ledger.entries("churn")
    assert [entry.signature is None for entry in entries] == [True, True] + [False] * 3
    assert messages(ledger) == []
    assert b"signature" not in next(ledger.export("churn"))


@pytest.mark.parametrize("at", [0, 1, 2, 4])
def test_an_entry_that_was_forged_breaks_a_signature(ledger: Ledger, at: int) -> None:
    def forge(found: list[Row]) -> list[Row]:
        found[at] = edit(found[at], why="because I say so")
        return make_anew(found)

    rewrite(forge)

    text = f"entry {max(at + 1, 3)} (deployment of v{max(at + 1, 3)}) is signed with"
    assert any(message.startswith(text) for message in messages(ledger))


def test_an_entry_without_signature_is_noticed_without_the_key(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(SHARED)
    assert messages(ledger) == []
    add(ledger, 6)
    expected = "entry 6 (deployment of v6) is not signed, and entry 3 before it is"
    assert messages(ledger) == [expected]
    monkeypatch.setenv(SHARED, KEY)
    assert expected in messages(ledger)


def test_a_chain_that_was_made_anew_without_signatures_is_noticed(
    ledger: Ledger,
) -> None:
    rewrite(lambda found: make_anew([{**row, "signature": None} for row in found]))

    assert messages(ledger) == [
        "no entry is signed, though there is a key: `--sign` begins"
    ]


@pytest.mark.parametrize("head", ["made anew", "removed"])
def test_a_ledger_that_was_cut_is_noticed(ledger: Ledger, head: str) -> None:
    rewrite(lambda found: make_anew(found[:3]))
    if head == "removed":
        with writing("churn") as connection:
            connection.execute(text("DELETE FROM ledger_heads"))

    (message,) = messages(ledger)
    assert message == "how far it must reach is not signed: its end may be missing"


def test_a_key_can_be_replaced(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SHARED, f"{OTHER}, {KEY}")
    add(ledger, 6)
    assert messages(ledger) == []
    monkeypatch.setenv(SHARED, OTHER)
    assert [problem.seq for problem in ledger.verify("churn")] == [3, 4, 5]


def test_a_short_key_is_refused_and_not_shown(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(SHARED, f"{KEY},short-secret")
    with pytest.raises(
        SigningKeyError, match="key 2 in .* has 12 characters"
    ) as caught:
        add(Ledger(), 1)
    assert "short-secret" not in str(caught.value)


def test_the_command_begins_to_sign(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ml_assets.cli.ledger.require_known", lambda *given: None)
    ledger = Ledger()
    add(ledger, 1)
    run = click.testing.CliRunner().invoke
    without = run(main, ["ledger", "churn", "--sign"])
    assert without.exit_code != 0 and SIGNING in without.output
    monkeypatch.setenv(SHARED, KEY)
    assert messages(ledger) != []
    done = run(main, ["ledger", "churn", "--sign"])
    assert messages(ledger) == []
    assert "signing" in done.output and KEY not in done.output


def test_a_private_key_follows_the_shared_secret(
    ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair = make_keys(tmp_path)
    pair.use(monkeypatch)
    add(ledger, 6)
    assert messages(ledger) == []
    # Who verifies with public keys needs no secret, old or new.
    monkeypatch.delenv(SHARED)
    monkeypatch.delenv(SIGNING)
    assert messages(ledger) == []
    add(ledger, 7)
    text = "entry 7 (deployment of v7) is not signed, and entry 3 before it is"
    assert messages(ledger) == [
        text,
        "how far it must reach is not signed: its end may be missing",
    ]


def test_the_shared_secret_forges_nothing_after_a_private_key(
    ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_keys(tmp_path).use(monkeypatch)
    add(ledger, 6)
    monkeypatch.delenv(SIGNING)
    add(ledger, 7)
    assert messages(ledger) == [
        "entry 7 (deployment of v7) is signed with a shared secret, and entry 6 before"
        " it with a private key",
        "how far it must reach is not signed: its end may be missing",
    ]


@pytest.mark.parametrize("how", ["forged", "cut", "without signatures"])
def test_public_keys_notice_what_was_forged(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    make_keys(tmp_path).use(monkeypatch)
    add(Ledger(), 1, 2, 3)
    monkeypatch.delenv(SIGNING)
    assert messages(Ledger()) == []

    def forge(found: list[Row]) -> list[Row]:
        if how == "cut":
            return make_anew(found[:2])
        if how == "forged":
            return make_anew([found[0], edit(found[1], version="v9"), found[2]])
        return make_anew([{**row, "signature": None} for row in found])

    rewrite(forge)
    assert messages(Ledger()) != []
