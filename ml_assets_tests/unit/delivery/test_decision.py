"""Which releases may go to production, by the facts, and queries of the ledger."""

from pathlib import Path
from typing import Any

import pytest

from ml_assets.delivery.decision import Facts, decide
from ml_assets.delivery.release_ledger import production_stack, staging_verdict
from ml_assets.records.ledger_entry import Entry
from ml_assets.state.ledger import Ledger

GOOD = Facts("v1.0.0", "sha256:1", "sha256:1", True, "", "user ann")


@pytest.mark.parametrize(
    "changes, verdict, reason",
    [
        ({}, "go", "v1.0.0 passed in staging, approved by user ann"),
        ({"name": "main"}, "refuse", "main is no version"),
        ({"points_at": None}, "refuse", "the registry has no tag v1.0.0 any more"),
        ({"points_at": "sha256:2"}, "refuse", "v1.0.0 points at sha256:2 now"),
        (
            {"staging": False, "staging_reason": "smoke: no"},
            "refuse",
            "v1.0.0 failed in staging: smoke: no",
        ),
        ({"staging": None}, "wait", "v1.0.0 has not been through staging yet"),
        ({"approved_by": None}, "wait", "v1.0.0 is not approved: `ml-assets approve"),
        (
            {"used_by": "release_production, entry 4"},
            "done",
            "this approval of v1.0.0",
        ),
        (
            {"stopped_by": "quarantine, entry 7"},
            "wait",
            "v1.0.0 is on hold: quarantine, entry 7",
        ),
        ({"current": "sha256:1"}, "done", "v1.0.0 is in production"),
        ({"ledger_problems": ("entry 2 was edited",)}, "refuse", "entry 2 was edited"),
        # A final reason comes before one that may pass.
        ({"approved_by": None, "staging": False}, "refuse", "v1.0.0 failed in staging"),
        ({"name": "main", "approved_by": None}, "refuse", "main is no version"),
    ],
)
def test_every_clause_has_its_verdict_and_reason(
    changes: dict[str, Any], verdict: str, reason: str
) -> None:
    decision = decide(GOOD._replace(**changes))
    assert decision.verdict == verdict
    assert reason in decision.reason


def entry(kind: Any, version: str, **evidence: Any) -> Entry:
    return Entry(
        seq=1,
        time="2026-11-23T02:00:00+00:00",
        kind=kind,
        model="release",
        version=version,
        generation=None,
        who="ann",
        why="",
        evidence=evidence,
        key=None,
        previous="",
        hash="",
    )


DEPLOYED = "release_production"


@pytest.mark.parametrize(
    "events, stack",
    [
        ([], ""),
        ([(DEPLOYED, "a"), (DEPLOYED, "b")], "ab"),
        ([(DEPLOYED, "a"), ("release_failure", "b")], "a"),
        ([(DEPLOYED, "a"), (DEPLOYED, "b"), ("rollback", "a")], "a"),
        (
            [(DEPLOYED, name) for name in "abc"]
            + [("rollback", "b"), ("rollback", "a")],
            "a",
        ),
        ([(DEPLOYED, "a"), ("rollback", "0")], "0"),
        ([(DEPLOYED, "a"), ("rollback", "0"), (DEPLOYED, "c")], "0c"),
    ],
)
def test_a_rollback_takes_away_what_came_after_its_release(
    events: list[tuple[str, str]], stack: str
) -> None:
    found = production_stack([entry(kind, version) for kind, version in events])
    assert "".join(item.version for item in found) == stack


def test_the_last_verdict_of_staging_counts_and_productions_does_not(
    home: Path,
) -> None:
    def add(kind: Any, version: str, environment: str) -> Entry:
        evidence = {"environment": environment}
        return Ledger().append("release", kind, version, None, "ann", "", evidence)

    assert staging_verdict("a") is None
    add("release_staging", "a", "staging")
    failed = add("release_failure", "a", "staging")
    add("release_failure", "a", "production")
    add("release_staging", "b", "staging")
    assert staging_verdict("a") == failed
