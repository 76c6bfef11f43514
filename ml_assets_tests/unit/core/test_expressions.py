"""Derived features as text: what they compute, and what they refuse."""

import math

import numpy as np
import pytest

from ml_assets.core.expressions.expression import Expression
from ml_assets.core.expressions.grammar import MAX_CHARACTERS, ExpressionError

NAN = math.nan
VALUES = {
    "a": np.array([1.0, 2.0, NAN]),
    "b": np.array([0, 1, 2]),
    "education-num": np.array([True, False, True]),
    "sex": np.array(["m", None, "f"], dtype=object),
    "maybe": np.array([True, None, 3], dtype=object),
    "größe": np.array([1.0, 1.0, 1.0]),
}


@pytest.mark.parametrize(
    "text, expected",
    [
        ("a - b", [1, 1, NAN]),
        ("a / b", [math.inf, 2, NAN]),
        ("-a + 2 * b ** 2", [-1, 0, NAN]),
        ("7 // (b + 1) + 7 % (b + 1)", [7, 4, 3]),
        ("`education-num` * 2", [2, 0, 2]),
        ("col('education-num') + b", [1, 1, 3]),
        ("größe + `größe`", [2, 2, 2]),
        ("b == 1", [0, 1, 0]),
        ("a != 1", [0, 1, NAN]),
        ("0 < b <= 1", [0, 1, 0]),
        ("sex == 'm'", [1, NAN, 0]),
        ("'m' != sex", [0, NAN, 1]),
        ("sex in ('m', 'x')", [1, NAN, 0]),
        ("sex not in ['m']", [0, NAN, 1]),
        ("a > 1 or b == 2", [0, 1, 1]),
        ("a > 1 and b == 1", [0, 1, 0]),
        ("not a > 1", [1, 0, NAN]),
        ("where(isna(a), -1, log1p(a - 1))", [0, math.log(2), -1]),
        ("where(a > 1, 1, 0)", [0, 1, NAN]),
        ("isna(sex) + isna(b)", [0, 1, 0]),
        ("clip(b, 0.5, 1)", [0.5, 1, 1]),
        ("minimum(a, b) + maximum(a, b)", [1, 3, NAN]),
        ("sqrt(abs(-b)) + exp(0 * b) + log(b * 0 + 1)", [1, 2, 1 + math.sqrt(2)]),
        ("sqrt(0 - b - 1)", [NAN, NAN, NAN]),
        ("maybe + 1", [2, NAN, 4]),
        ("  a\n  - b  ", [1, 1, NAN]),
        ("b + 1e400", [math.inf] * 3),
        ("(a > 1) == True", [0, 1, NAN]),
    ],
)
def test_an_expression_computes(text, expected):
    result = Expression.parse(text).evaluate(VALUES)

    assert result.dtype == np.float64
    np.testing.assert_allclose(result, expected, rtol=1e-15)


@pytest.mark.parametrize(
    "text, message",
    [
        ("", "is empty, at position 1"),
        ("a +", "is not a valid expression, at position"),
        ("a) + (b", "is not a valid expression, at position 2"),
        ("a = 1", "is not a valid expression"),
        ("`a + 1", "is not a valid expression"),
        ("1 + 2", "reads no column"),
        ("b + open('x')", "calls 'open', which is unknown, at position 5"),
        ("größe + a.b", "holds 'a.b', which is not allowed, at position 9"),
        ("a[0]", "holds 'a[0]'"),
        ("a if b else 1", "holds 'a if b else 1'"),
        ("lambda: a", "which is not allowed"),
        ("[x for x in a]", "which is not allowed"),
        ("a @ b", "which is not allowed"),
        ("a << 2", "which is not allowed"),
        ("a is b", "compares with 'is'"),
        ("a + 'x'", "a text that is not compared with a column"),
        ("a + 1j", "holds '1j', which is no number"),
        ("a + None", "holds 'None', which is no number"),
        ("a + b'1'", "which is no number"),
        (f"a + 1{'0' * 400}", "a number too large"),
        ("minimum(a)", "calls minimum with other than 2 arguments"),
        ("log(x=a)", "calls log with other than 1 arguments"),
        ("isna(1)", "has '1' where a column is needed"),
        ("col(a)", "has 'col(a)' where a column is needed"),
        ("a in (1, 2)", "needs a text or a list of texts"),
        ("sex in ()", "needs a text or a list of texts"),
        ("sex == 'm' and sex > 1", "both as text and as number, at position 16"),
        ("sex == 'm' + 'n'", "not compared with a column"),
        ("-" * 100 + "a", "is nested deeper than 32"),
        ("+".join(["a"] * 20) + "+f(a)", "calls 'f'"),
        ("minimum(*[" + "a," * 400 + "])", "other than 2 arguments"),
        ("(" * 300 + "a" + ")" * 300, "at position"),
        ("a" * (MAX_CHARACTERS + 1), "may have 2000 characters, found 2001"),
        ("a\0", "at position 1"),
    ],
)
def test_what_is_not_allowed_is_refused_with_its_position(text, message):
    with pytest.raises(ExpressionError) as error:
        Expression.parse(text)

    assert message in str(error.value)


def test_the_number_of_parts_is_bounded_and_the_message_stays_short():
    with pytest.raises(ExpressionError, match="has more than 300 parts") as error:
        Expression.parse("a<" * 400 + "a")

    assert len(str(error.value)) < 500


def test_a_refusal_names_what_is_allowed():
    with pytest.raises(ExpressionError, match="allowed are columns, numbers.*where"):
        Expression.parse("eval(a)")


@pytest.mark.parametrize(
    "text, message",
    [
        ("wages + 1", "there is no column 'wages', in the expression 'wages \\+ 1'"),
        ("sex + 1", "the column 'sex' must hold numbers, found str"),
        ("b == 'm'", "the column 'b' must hold texts, found int64"),
    ],
)
def test_columns_that_do_not_fit_are_named(text, message):
    with pytest.raises(ExpressionError, match=message):
        Expression.parse(text).evaluate(VALUES)


def test_columns_are_listed_in_the_order_of_first_use():
    expression = Expression.parse("where(sex == 'm', `education-num`, b) - b + isna(a)")

    assert expression.columns == ("sex", "education-num", "b", "a")
    assert expression.text_columns == {"sex"}
    assert expression.text.startswith("where")


def test_the_same_text_is_parsed_once():
    assert Expression.parse("a + b") is Expression.parse("a + b")


def test_backticks_inside_a_text_are_left_alone():
    values = {"sex": np.array(["`m`", "m"], dtype=object)}

    assert Expression.parse("sex == '`m`'").evaluate(values).tolist() == [1, 0]


@pytest.mark.parametrize(
    "text",
    ["x / y", "log1p(abs(x))", "exp(x / 9)", "abs(x) ** 1.7", "x % 3 // 1", "sqrt(y)"],
)
def test_one_row_alone_gives_the_bits_that_it_gives_among_others(text):
    generator = np.random.default_rng(0)
    rows = {
        name: generator.normal(scale=30, size=1_003) * generator.integers(0, 2, 1_003)
        for name in ("x", "y")
    }
    expression = Expression.parse(text)
    together = expression.evaluate(rows)

    alone = [
        expression.evaluate({name: values[[row]] for name, values in rows.items()})[0]
        for row in range(len(together))
    ]

    np.testing.assert_array_equal(together, np.array(alone))
    strided = {name: np.repeat(values, 2)[::2] for name, values in rows.items()}
    np.testing.assert_array_equal(together, expression.evaluate(strided))


def test_the_input_is_not_changed():
    values = {"a": np.array([1.0, 2.0])}

    Expression.parse("+a").evaluate(values)[0] = 9

    assert values["a"].tolist() == [1.0, 2.0]


def test_an_expression_shows_its_text():
    assert repr(Expression.parse("a + 1")) == "Expression('a + 1')"
