"""A version takes every request that the one before takes, or a difference is found."""

import functools
import itertools
import json

import msgspec
import pytest

from ml_assets.records.plan import Column, Signature, encode, ignored
from ml_assets.records.signature import incompatibilities, widened
from ml_assets.serving.requests.decoder import RowDecoder
from ml_assets.serving.requests.problems import Problem


def of(*columns, **more):
    given = {"target": "y", "negative": "no", "positive": "yes", **more}
    return Signature(columns=columns, **given)


def column(kind="number", name="fee", **more):
    return Column(name=name, kind=kind, **more)


NOTHING = {}
MANY = tuple(f"c{number:04}" for number in range(999))
CHANGES = [
    ("fractions", column("number"), column("integer"), {"fee": 2.5}),
    ("missing numbers", column(nullable=True), column(), {"fee": None}),
    (
        "missing texts",
        column("string", nullable=True),
        column("string", open=True),
        {"fee": None},
    ),
    (
        "missing truth values",
        column("string", nullable=True, categories=("False", "True")),
        column("boolean"),
        {"fee": None},
    ),
    (
        "spelt truth values",
        column("string", nullable=True, categories=("False", "True")),
        column("boolean"),
        {"fee": "TRUE"},
    ),
    (
        "truth values in a column that had a missing cell",
        column("boolean"),
        column("string", nullable=True, categories=("False", "True")),
        {"fee": True},
    ),
    (
        "a rare category that is gone",
        column("string", categories=("a", "b", "rare")),
        column("string", categories=("a", "b")),
        {"fee": "rare"},
    ),
    (
        "a category that is a number",
        column("string", categories=("1", "2")),
        column("string", categories=("1", "3")),
        {"fee": 2},
    ),
    (
        "any text",
        column("string", categories=None),
        column("string", categories=("a", "b")),
        {"fee": "zz"},
    ),
    (
        "unseen values",
        column("string", categories=("a", "b"), open=True),
        column("string", categories=("a", "b")),
        {"fee": "zz"},
    ),
    (
        "more categories than a list holds",
        column("string", categories=MANY),
        column("string", categories=("a", "b")),
        {"fee": MANY[0]},
    ),
    ("a column that went away", column("integer"), None, {"fee": 3}),
    ("a constant that varies now", ignored("fee", "number"), column(), NOTHING),
    (
        "a constant text that varies now",
        ignored("fee", "string"),
        column("string", categories=("a", "b")),
        {"fee": "something"},
    ),
    (
        "a constant that varies now and was sent",
        ignored("fee", "number"),
        column("integer"),
        {"fee": 1.5},
    ),
    ("a column that is new", None, column(), NOTHING),
    ("an input that is constant now", column(), ignored("fee", "number"), {"fee": 1}),
    ("a row without it", column(optional=True, nullable=True), column(), NOTHING),
]


@functools.cache
def decoder(signature):
    return RowDecoder(signature, max_rows=10)


def takes(signature, row):
    try:
        decoder(signature).decode(json.dumps({"rows": [row]}).encode())
    except Problem:
        return False
    return True


@pytest.mark.parametrize(
    "before, new, row", [case[1:] for case in CHANGES], ids=[c[0] for c in CHANGES]
)
def test_a_request_that_was_accepted_is_accepted_after_an_ordinary_week(
    before, new, row
):
    other = column(name="other")
    then = of(other, *filter(None, [before]))
    trained = of(other, *filter(None, [new]))
    row = {"other": 1.0, **row}
    assert takes(then, row)

    wide = widened(trained, then, ["fee", "other"])

    assert incompatibilities(wide, then) == ()
    assert takes(wide, row)
    # What training alone would have said is refused, or was no change at all.
    assert takes(trained, row) or incompatibilities(trained, then)
    # Clients that send all columns of either version are served by the newer one.
    assert widened(wide, then, ["fee", "other"]) == wide


VARIANTS = [
    None,
    ignored("fee", "number"),
    ignored("fee", "string"),
    ignored("fee", "boolean"),
    column("integer"),
    column("integer", nullable=True),
    column("number"),
    column("number", nullable=True, optional=True),
    column("boolean"),
    column("boolean", nullable=True),
    column("string", categories=("False", "True"), nullable=True),
    column("string", categories=("1", "2")),
    column("string", categories=("a", "b")),
    column("string", categories=("a", "b"), open=True, nullable=True, optional=True),
    column("string", open=True),
]
VALUES = [
    *([{}], [{"fee": None}], [{"fee": True}], [{"fee": "True"}], [{"fee": 1}]),
    *([{"fee": 2.5}], [{"fee": "2.0"}], [{"fee": "a"}], [{"fee": "zz"}]),
]


def _sent(old, before, row):
    """Whether callers of the old version send a row; what is ignored has its kind."""
    if old is not None and old.ignored:
        is_text = old.kind == "string"
        kept = column(old.kind, nullable=True, open=is_text, optional=True)
        before = of(column(name="other"), kept)
    return takes(before, row)


@pytest.mark.parametrize("spares", [["fee"], []], ids=["spared", "needed"])
def test_where_no_incompatibility_is_reported_no_request_is_refused(spares):
    other = column(name="other")
    rows = [{"other": 1.0, **row} for (row,) in VALUES]
    seen = 0
    for old, new in itertools.product(VARIANTS, VARIANTS):
        before, trained = (of(other, *filter(None, [c])) for c in (old, new))
        for signature in (trained, widened(trained, before, spares)):
            refused = [r for r in rows if _sent(old, before, r)]
            refused = [r for r in refused if not takes(signature, r)]
            if not incompatibilities(signature, before):
                assert not refused, (old, new, refused)
            seen += bool(refused)
        wide = widened(trained, before, spares)
        assert {*incompatibilities(wide, before)} <= {
            *incompatibilities(trained, before)
        }
    assert seen


@pytest.mark.parametrize(
    "changed, expected",
    [
        (
            {"negative": "yes", "positive": "no"},
            "`probability` is that of 'no', and th",
        ),
        ({"positive": "often"}, "its labels are 'no' and 'often', and 'no' and 'yes'"),
        ({"target": "z"}, "it predicts 'z', and 'y' until now"),
    ],
)
def test_another_meaning_of_the_answer_is_reported_like_a_request_refused(
    changed, expected
):
    (fault,) = incompatibilities(of(column(), **changed), of(column()))
    assert fault.startswith(expected)


@pytest.mark.parametrize(
    "now, then",
    [((0, 1), (False, True)), (("0", "1"), (0, 1)), ((1.0, 2.0), (1, 2))],
)
def test_a_class_that_is_spelt_otherwise_is_the_same(now, then):
    pairs = [dict(zip(("negative", "positive"), pair)) for pair in (now, then)]
    assert incompatibilities(of(column(), **pairs[0]), of(column(), **pairs[1])) == ()


@pytest.mark.parametrize(
    "before, new, expected",
    [
        (column("string", categories=("A1", "7")), column("integer"), "found texts in"),
        (column("integer"), column("string", categories=("7",)), "expected texts, fou"),
        (column("boolean"), column("integer"), "expected whole numbers, found truth v"),
        (None, column(), "column 'fee': it is needed, and was not until now"),
        (column(nullable=True), column(), "a missing value is refused, and was taken"),
    ],
)
def test_what_cannot_be_widened_is_reported_with_its_column(before, new, expected):
    then = of(*filter(None, [before]))
    (fault,) = incompatibilities(widened(of(new), then, []), then)
    assert fault.startswith("column 'fee': ") and expected in fault


def test_no_value_of_a_category_is_reported():
    then = of(column("string", categories=("Jane Doe", "John Doe")))
    (fault,) = incompatibilities(of(column("string", categories=("a", "b"))), then)
    assert "Doe" not in fault


def test_a_signature_written_before_there_were_tasks_is_binary():
    written = b'{"columns":[],"target":"y","negative":"no","positive":"yes"}'
    signature = msgspec.json.decode(written, type=Signature)
    assert signature.task == "binary" and signature.labels == ("no", "yes")


@pytest.mark.parametrize(
    ("kind", "labels"),
    [
        ({"task": "multiclass", "classes": ("b", "a", "c")}, ("b", "a", "c")),
        ({"task": "regression"}, ()),
    ],
)
def test_a_signature_of_another_task_is_read_as_it_was_written(kind, labels):
    signature = Signature(columns=(column(),), target="y", **kind)
    assert msgspec.json.decode(encode(signature), type=Signature) == signature
    assert signature.labels == labels


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"negative": 0, "positive": 1, "classes": (0, 1)},
        {"task": "multiclass", "classes": ("a",)},
        {"task": "multiclass", "classes": ("a", "b", "a")},
        {"task": "regression", "negative": 0, "positive": 1},
        {"task": "regression", "classes": ("a", "b")},
    ],
)
def test_labels_that_the_task_does_not_have_are_refused(wrong):
    with pytest.raises(ValueError, match="a signature of task .* expected two labels"):
        Signature(columns=(), target="y", **wrong)


@pytest.mark.parametrize(
    ("new", "before", "fault"),
    [
        (
            {"task": "multiclass", "classes": ("a", "b", "c")},
            {"negative": "a", "positive": "b"},
            "its task is multiclass, and binary until now",
        ),
        (
            {"task": "multiclass", "classes": ("a", "b", "c", "d")},
            {"task": "multiclass", "classes": ("a", "b", "c")},
            "its class 'd' was none until now",
        ),
        (
            {"task": "multiclass", "classes": ("a", "b")},
            {"task": "multiclass", "classes": ("a", "b", "c")},
            "the class 'c' is none of its classes any more",
        ),
        (
            {"task": "multiclass", "classes": ("b", "a", "c")},
            {"task": "multiclass", "classes": ("a", "b", "c")},
            "its classes are in the order ['b', 'a', 'c'], and ['a', 'b', 'c'] until"
            " now",
        ),
    ],
)
def test_answers_of_another_kind_are_found(new, before, fault):
    new, before = (Signature(columns=(), target="y", **k) for k in (new, before))
    assert incompatibilities(new, before) == (fault,)


def test_classes_spelt_otherwise_are_the_same():
    first, second = (
        Signature(columns=(), target="y", task="multiclass", classes=classes)
        for classes in ((1, 2, 3), ("1", "2", "3"))
    )
    assert incompatibilities(second, first) == ()
