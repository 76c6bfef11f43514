"""Who can write the ledger but lacks its key can forge no entry."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click.testing
import pytest

from ml_assets.cli import main
from ml_assets.core.signing import VARIABLE, SigningKeyError
from ml_assets.records.ledger_entry import canonical, entry_hash
from ml_assets.state.ledger import Ledger

KEY = "a-key-of-the-tests-that-is-long-enough"
OTHER = "another-key-that-is-long-enough-as-well"
Body = dict[str, Any]


@pytest.fixture
def ledger(home: Path, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    """Two entries from before there was a key, and three since."""
    found = Ledger(home)
    add(found, 1, 2)
    monkeypatch.setenv(VARIABLE, KEY)
    add(found, 3, 4, 5)
    return found


def add(ledger: Ledger, *numbers: int) -> None:
    for number in numbers:
        ledger.append("churn", "deployment", f"v{number}", None, "ana", "passed", {})


def messages(ledger: Ledger) -> list[str]:
    return [problem.message for problem in ledger.verify("churn")]


def forge(ledger: Ledger, change: Callable[[list[Body]], None]) -> None:
    """Change entries and make the chain and the head anew, as far as one can."""
    path = ledger.path("churn")
    bodies = [json.loads(line) for line in path.read_bytes().splitlines()]
    change(bodies)
    before = "0" * 64
    for body in bodies:
        given = {"hash": body.pop("hash"), "signature": body.pop("signature", None)}
        body["previous"] = before
        before = entry_hash(body)
        signature = given["signature"]
        body.update({"hash": before} | ({"signature": signature} if signature else {}))
    path.write_bytes(b"".join(canonical(body) + b"\n" for body in bodies))
    head = json.loads(path.with_suffix(".head.json").read_text())
    head |= {"seq": bodies[-1]["seq"], "hash": before}
    path.with_suffix(".head.json").write_text(json.dumps(head))


def test_entries_from_before_the_key_are_good_and_covered(ledger: Ledger) -> None:
    entries = ledger.entries("churn")
    assert [entry.signature is None for entry in entries] == [True, True] + [False] * 3
    assert messages(ledger) == []
    assert b"signature" not in ledger.path("churn").read_bytes().splitlines()[0]


@pytest.mark.parametrize("at", [0, 1, 2, 4])
def test_an_entry_that_was_forged_breaks_a_signature(ledger: Ledger, at: int) -> None:
    def change(bodies: list[Body]) -> None:
        bodies[at]["why"] = "because I say so"

    forge(ledger, change)

    text = f"entry {max(at + 1, 3)} (deployment of v{max(at + 1, 3)}) is signed with"
    assert any(message.startswith(text) for message in messages(ledger))


def test_an_entry_without_signature_is_noticed_without_the_key(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(VARIABLE)
    assert messages(ledger) == []
    add(ledger, 6)
    expected = "entry 6 (deployment of v6) is not signed, and entry 3 before it is"
    assert messages(ledger) == [expected]
    monkeypatch.setenv(VARIABLE, KEY)
    assert expected in messages(ledger)


def test_a_chain_that_was_made_anew_without_signatures_is_noticed(
    ledger: Ledger,
) -> None:
    def change(bodies: list[Body]) -> None:
        for body in bodies:
            body.pop("signature", None)

    forge(ledger, change)

    assert messages(ledger) == [
        "no entry is signed, though there is a key: `--sign` begins"
    ]


@pytest.mark.parametrize("head", ["made anew", "removed"])
def test_a_ledger_that_was_cut_is_noticed(ledger: Ledger, head: str) -> None:
    forge(ledger, lambda bodies: bodies.__delitem__(slice(3, None)))
    if head == "removed":
        ledger.path("churn").with_suffix(".head.json").unlink()

    (message,) = messages(ledger)
    assert message == "how far it must reach is not signed: its end may be missing"


def test_a_key_can_be_replaced(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, f"{OTHER}, {KEY}")
    add(ledger, 6)
    assert messages(ledger) == []
    monkeypatch.setenv(VARIABLE, OTHER)
    assert [problem.seq for problem in ledger.verify("churn")] == [3, 4, 5]


def test_a_short_key_is_refused_and_not_shown(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, f"{KEY},short-secret")
    with pytest.raises(
        SigningKeyError, match="key 2 in .* has 12 characters"
    ) as caught:
        add(Ledger(home), 1)
    assert "short-secret" not in str(caught.value)


def test_the_command_begins_to_sign(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ml_assets.cli.ledger.require_known", lambda *given: None)
    ledger = Ledger(home)
    add(ledger, 1)
    run = click.testing.CliRunner().invoke
    without = run(main, ["ledger", "churn", "--sign"])
    assert without.exit_code != 0 and VARIABLE in without.output
    monkeypatch.setenv(VARIABLE, KEY)
    assert messages(ledger) != []
    done = run(main, ["ledger", "churn", "--sign"])
    assert messages(ledger) == []
    assert "signing" in done.output and KEY not in done.output
