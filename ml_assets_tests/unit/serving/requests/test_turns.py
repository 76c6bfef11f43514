"""A long body that is decoded in turns is answered as one that is decoded at once."""

import itertools
import json
import time

import msgspec
import pytest

from ml_assets.records.plan import Column, Signature
from ml_assets.serving.requests import decoder as decoders
from ml_assets.serving.requests import turns
from ml_assets.serving.requests.decoder import RowDecoder
from ml_assets.serving.requests.problems import Problem

SIGNATURE = Signature(
    columns=(
        Column(name="age", kind="number"),
        Column(name="kind", kind="string", categories=("a", "b"), open=True),
        Column(name="note", kind="string", nullable=True, optional=True),
    ),
    target="t",
    negative="n",
    positive="y",
)
NOTES = ["x", None, "},{", "}, {", '"},{"', "\\", "]}", '"rows":[{', "é: }\n,\t{"]
ROWS = [{"age": 0.5, "kind": "a", "note": note} for note in NOTES]
ROWS += [{"age": -0.0, "kind": "b"}, {"age": 1e300, "kind": "unseen", "note": ":"}]


def text(rows, entities=(), **form):
    named = {"entities": list(entities)} if entities else {}
    return json.dumps({"rows": rows, **named}, **form).encode()


BODIES = [
    text(ROWS),
    text(ROWS[:9]),
    text(ROWS, separators=(",", ":")),
    text(ROWS, indent=1),
    text(ROWS, ensure_ascii=False),
    text(ROWS, [*"abcdefghi", "},{", "j"]),
    b'{"entities": ["a", "b"], "rows": [{"age": 1, "kind": "a"},'
    b' {"age": 2, "kind": "b"}]}',
    b'{"columns": {"age": [1, 2], "kind": ["a", "b"]}}',
]
ROW = '{"age": 1, "kind": "a"}'
REFUSED = [
    f'{{"rows": [{ROW}, {ROW}], "rows": [{ROW}, {ROW}]}}',
    f'{{"rows": [{ROW}, {ROW}], "columns": {{"age": [1], "kind": ["a"]}}}}',
    f'{{"rows": [{ROW}, {ROW}], "entities": ["a"]}}',
    f'{{"rows": [{ROW}, {ROW}], "more": []}}',
    f'{{"rows": [{ROW}, {ROW}',
    f'{{"rows": [{ROW}, {ROW}]]}}',
    f'{{"rows": [[{ROW}, {ROW}]]}}',
    f'{{"rows": [{ROW}, {{"age": 1, "age": 2, "kind": "a"}}, {ROW}]}}',
    f'{{"rows": [{ROW}, {{"age": "x", "kind": "a"}}, {ROW}]}}',
    f'{{"rows": [{ROW}, {{"age": 1, "kind": {{"kind": "a"}}, {ROW}]}}',
]


@pytest.fixture
def in_turns(monkeypatch):
    """Have bodies decoded in turns of so many bytes."""

    def begin(size):
        split = turns.split_rows
        monkeypatch.setattr(decoders, "TURN_BYTES", size)
        monkeypatch.setattr(decoders, "split_rows", lambda body: split(body, size))
        monkeypatch.setattr(turns, "_PAUSE_SECONDS", 0.0)

    return begin


def outcome(body):
    """The batch of a body, of which the columns may be lists or tuples; or its fault.

    -0.0 and 0.0 differ.
    """
    try:
        batch = RowDecoder(SIGNATURE, 100).decode(body, in_turns=True)
    except Problem as problem:
        return problem.status, problem.detail, problem.errors
    rows, columns = [*map(tuple, batch.rows)], [*map(list, batch.columns)]
    return repr((batch.size, rows, columns, batch.entities, batch.text, batch.unseen))


@pytest.mark.parametrize("body", [*BODIES, *map(str.encode, REFUSED)])
def test_the_rows_and_the_refusals_are_those_of_one_piece(in_turns, body):
    whole = outcome(body)
    for size in range(1, len(body), 7):
        in_turns(size)
        assert outcome(body) == whole


@pytest.mark.parametrize("body", REFUSED)
def test_what_is_refused_in_one_piece_is_refused_in_turns(in_turns, body):
    in_turns(1)
    with pytest.raises(Problem):
        RowDecoder(SIGNATURE, 100).decode(body.encode(), in_turns=True)


def test_a_body_is_parted_between_its_rows_or_within_a_string():
    for body, size in itertools.product(BODIES[:6], range(60)):
        (*parts, last), start = turns.split_rows(body, size)
        arrays = [b"[%b]" % part for part in parts]
        try:
            first = [row for array in arrays for row in msgspec.json.decode(array)]
        except msgspec.DecodeError:
            # A note holds what may stand between two rows.
            continue
        found = msgspec.json.decode(start + last)
        whole = msgspec.json.decode(body)
        assert first + found["rows"] == whole["rows"]
        assert found.get("entities") == whole.get("entities")


def test_rows_beyond_the_bound_are_refused_before_they_are_decoded(in_turns):
    in_turns(1)
    body = text([{"age": 1, "kind": "a"}] * 4)[:-2] + b", {broken"
    with pytest.raises(Problem, match="at most 3 rows, found at least 4") as caught:
        RowDecoder(SIGNATURE, 3).decode(
            body.replace(b"broken", b'"age": 1}]}'), in_turns=True
        )
    assert caught.value.status == 413


def test_others_get_the_interpreter_in_a_long_body_only(monkeypatch):
    pauses = []
    monkeypatch.setattr(time, "sleep", pauses.append)
    decoder = RowDecoder(SIGNATURE, 10**6)
    row = {"age": 1, "kind": "a", "note": "x"}
    count = 4 * turns.TURN_BYTES // len(json.dumps(row)) + 4
    # The event loop decodes short bodies itself, and must not wait; no loop waits for
    # bulk predictions.
    decoder.decode(text([row] * (count // 5)), in_turns=True)
    decoder.decode(text([row] * count))
    assert not pauses
    assert decoder.decode(text([row] * count), in_turns=True).size == count
    assert len(pauses) > 4
    assert all(pause > 0 for pause in pauses)
