"""Plain text for programs; tables, colours and live lines where a person reads."""

import os
import subprocess
import sys
from collections.abc import Sequence

import pytest

from ml_assets.cli.console import fitted
from ml_assets_tests.kits.terminal import COLOUR, on_terminal, plain

REASON = "accuracy 0.9739 is above 0.8; there is no champion to compare with"
WHO = "sensor breast_cancer_gate, run 10f4932d-9a9a-788a-9155-aa75f595246e"
TABLE = f"""
from ml_assets.cli.console import echo, item, table
table(
    ["version", "gate", "who", "reason"],
    [
        ["20261128T145328Z", ("passed", "green"), "{WHO}", "{REASON}"],
        ["20261128T145418Z", ("refused", "yellow"), "-", "no"],
    ],
)
item(("status", "bold"), ("ok ", "green"), "{REASON}", width=8, indent=2)
echo(("a command", "bold"), " that is copied: " + "x" * 90)
echo("a sentence: {REASON}", wraps=True)
"""
PLAIN = [
    f"version           gate     who{' ' * 66}reason",
    f"20261128T145328Z  passed   {WHO}  {REASON}",
    f"20261128T145418Z  refused  -{' ' * 68}no",
    f"  status   ok {REASON}",
    f"a command that is copied: {'x' * 90}",
    f"a sentence: {REASON}",
]
WIDTHS = [60, 80, 120, 200]


def in_a_pipe(code: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | variables,
        capture_output=True,
        text=True,
        check=True,
    )


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"COLUMNS": "20", "TERM": "xterm-256color"},
        {"FORCE_COLOR": "1", "TTY_COMPATIBLE": "1", "CLICOLOR_FORCE": "1"},
    ],
)
def test_a_program_reads_the_same_text_everywhere(variables: dict[str, str]) -> None:
    assert in_a_pipe(TABLE, **variables).stdout.splitlines() == PLAIN


def test_a_terminal_that_cannot_move_its_cursor_gets_plain_text() -> None:
    assert on_terminal(TABLE, 60, TERM="dumb").splitlines() == PLAIN


@pytest.mark.parametrize("width", WIDTHS)
def test_a_table_fits_its_terminal_and_loses_no_word(width: int) -> None:
    shown = plain(on_terminal(TABLE, width))
    assert {*shown.split()} == {*" ".join(PLAIN).split()}
    for line in shown.splitlines():
        assert len(line.rstrip()) <= width or line.startswith("a command"), line


@pytest.mark.parametrize("width", WIDTHS)
def test_columns_stay_aligned_whatever_is_wrapped(width: int) -> None:
    header, *lines = plain(on_terminal(TABLE, width)).splitlines()
    at = header.index("gate")
    rows = [line for line in lines if line.startswith("202611")]
    assert [line[at:].split()[0] for line in rows] == ["passed", "refused"]
    assert all(line[at - 2 : at] == "  " for line in rows)


def test_colours_are_left_out_on_request_and_emphasis_stays() -> None:
    assert COLOUR.search(on_terminal(TABLE, 80))
    shown = on_terminal(TABLE, 80, NO_COLOR="1")
    assert not COLOUR.search(shown)
    assert "\x1b[1m" in shown


def test_the_width_that_a_person_asks_for_counts() -> None:
    shown = plain(on_terminal(TABLE, 200, COLUMNS="60"))
    assert shown == plain(on_terminal(TABLE, 60))


@pytest.mark.parametrize(
    "columns, room, kept",
    [
        (["a", "b" * 30, "c" * 30], 66, [0, 1, 2]),
        (["a", "b c " * 20, "c d " * 20], 60, [0, 1, 2]),
        (["a", "b" * 30, "c" * 30], 60, [0, 1]),
        (["a" * 99, "b" * 30, "c" * 30], 60, [0]),
    ],
    ids=["all fit", "texts are wrapped", "a word would be broken", "too narrow"],
)
def test_what_does_not_fit_stands_below_its_row(
    columns: Sequence[str], room: int, kept: list[int]
) -> None:
    found, widths = fitted([[text] for text in columns], room)
    assert found == kept
    assert sum(widths) + 2 * (len(widths) - 1) <= room


ACTIVITY = """
import sys
from ml_assets.cli.activity import activity
from ml_assets.cli.console import echo
with activity("reading", sys.stdout) as shown:
    shown.count("files", 1, 3)
    echo("a line above")
    shown._progress and shown._progress.refresh()
    shown.show("training")
    shown.count("8 candidates")
    shown._progress and shown._progress.refresh()
echo("done")
"""


def test_work_is_shown_at_the_bottom_and_leaves_nothing() -> None:
    raw = on_terminal(ACTIVITY, 80)
    shown = plain(raw)
    assert "reading 1 of 3 files" in shown and "training 8 candidates" in shown
    # The last line of it is erased, and the cursor is shown again.
    assert raw.rpartition("training")[2].count("\x1b[2K") >= 1
    assert raw.rindex("\x1b[?25h") > raw.rindex("\x1b[?25l")
    assert shown.index("a line above") < shown.index("training") < shown.index("done")


def test_a_program_sees_nothing_of_work_under_way() -> None:
    done = in_a_pipe(ACTIVITY + "print('rich' in sys.modules)", FORCE_COLOR="1")
    assert done.stdout.splitlines() == ["a line above", "done", "False"]
    assert done.stderr == ""


def test_events_and_work_may_come_from_two_threads() -> None:
    code = """
import sys, threading
from ml_assets.cli.activity import activity
failed = []
threading.excepthook = failed.append
with activity("", sys.stdout) as shown:
    def events():
        for number in range(300):
            shown.show(f"stage {number}")
    thread = threading.Thread(target=events)
    thread.start()
    for number in range(300):
        shown.count("rows", number, 300)
    thread.join()
assert not failed, failed
"""
    assert "stage" in on_terminal(code, 80)
