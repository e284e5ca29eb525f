"""Plain values from YAML text: exact numbers, no guessed types, faults instead of silent choices."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ordersmith.config.yaml_reader import NUMBER, read, to_decimal

decimals = st.decimals(allow_nan=False, allow_infinity=False) | st.builds(
    lambda sign, digits, exponent: Decimal((sign, digits, exponent)),
    st.integers(0, 1),
    st.lists(st.integers(0, 9), min_size=1, max_size=60).map(tuple),
    st.integers(-500, 500),
)


@given(decimals)
def test_any_decimal_text_is_read_exactly(number):
    """A number keeps its sign, every digit and its exponent, unquoted and quoted; only the integer -0 is 0."""
    text = str(number)
    plain, quoted = read(f"[{text}, '{text}']").value
    assert Decimal(plain).as_tuple() == (Decimal(0) if text == "-0" else number).as_tuple()
    assert NUMBER.match(quoted)
    assert to_decimal(quoted).as_tuple() == number.as_tuple()


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0.10", Decimal("0.10")),
        ("1e-3", Decimal("0.001")),
        ("1E+5", Decimal("1E+5")),
        (".5", Decimal("0.5")),
        ("5.", Decimal(5)),
        ("-0.001", Decimal("-0.001")),
        ("1_000", 1000),
        ("1_000.50", Decimal("1000.50")),
        ("010", 10),
        ("0.1000000000000000055511151231257827", Decimal("0.1000000000000000055511151231257827")),
        ("true", True),
        ("False", False),
        ("null", None),
        ("~", None),
        ("", None),
    ],
)
def test_scalar_is_what_it_says(text, value):
    """Numbers, booleans and null are those of YAML 1.2, with exact decimals and separators between digits."""
    read_value = read(f"key: {text}").value["key"]
    assert (read_value, str(read_value), type(read_value)) == (value, str(value), type(value))


@pytest.mark.parametrize(
    "text",
    [
        *("ON", "on", "OFF", "NO", "no", "YES", "Y", "n", "TRUE", "FALSE", "NULL", "inf", "nan", "BRK.B", "=", "-"),
        *("09:30", "1:30:00", "2005-03-01", "0x1F", "0o17", "1__000", "1_", "_1", "1e", "1.2.3", "1e9999999"),
    ],
)
def test_everything_else_stays_text(text):
    """Tickers, times and dates are never taken for another type."""
    quoted = text if text != "-" else "'-'"
    assert read(f"key: {quoted}").value == {"key": text}


@pytest.mark.parametrize("key", ["0700", "ON", "TRUE", "null", "1.50", "2005-03-01"])
def test_key_is_the_text_that_was_written(key):
    """A key keeps its leading zeros and its letters whatever it looks like."""
    assert read(f"{key}: 1").value == {key: 1}


def test_not_finite_numbers_are_told_from_text():
    """`.nan` and `.inf` are numbers, which their reader can refuse."""
    nan, infinity, minus = read("[.nan, .inf, -.inf]").value
    assert nan.is_nan()
    assert (infinity, minus) == (Decimal("Infinity"), Decimal("-Infinity"))


def test_every_key_has_its_line():
    """The line of a nested key is known."""
    assert read("a:\n  b: [1, {c: 2}]\nd: 3\n").lines == {
        ("a",): 1,
        ("a", "b"): 2,
        ("a", "b", "[1]", "c"): 2,
        ("d",): 3,
    }


@pytest.mark.parametrize(
    ("text", "path", "line", "message"),
    [
        ("a: 1\nb: 2\na: 3\n", ("a",), 3, "is given twice, in lines 1 and 3; keep one"),
        ("a:\n  - x: 1\n    x: 2\n", ("a", "[0]", "x"), 3, "is given twice, in lines 2 and 3; keep one"),
        ("a: !secret 1\n", ("a",), 1, "has a tag; accepted: plain YAML without tags"),
        ("a: !!int x\n", ("a",), 1, "has a tag; accepted: plain YAML without tags"),
        ("a: !!python/name:os.system {}\n", ("a",), 1, "has a tag; accepted: plain YAML without tags"),
        ("a: &b {c: *b}\n", ("a", "c"), 1, "contains itself through an alias"),
        ("? [a]\n: 1\n", (), 1, "has a key that is not a name; accepted: one name for each key, no <<"),
        (
            "a: &a {b: 1}\nc:\n  <<: *a\n",
            ("c",),
            3,
            "has a key that is not a name; accepted: one name for each key, no <<",
        ),
    ],
)
def test_fault_of_meaning_leaves_the_rest_readable(text, path, line, message):
    """A duplicate key, a tag or a cycle is a fault at its path and line."""
    document = read(text)
    assert document.faults == [(path, line, 0, message)]
    assert document.readable


def test_every_duplicate_is_reported():
    """One duplicate key does not hide another, and the first value counts."""
    document = read("a: 1\na: 2\na: 3\nb: {c: 1, c: 2}\n")
    assert [fault.path for fault in document.faults] == [("a",), ("a",), ("b", "c")]
    assert document.value == {"a": 1, "b": {"c": 1}}


@pytest.mark.parametrize(
    ("text", "line", "column", "message"),
    [
        ("a: 1\nb: [1, 2\n", 3, 1, "is not YAML: expected ',' or ']', but got '<stream end>'"),
        ("a: b: c\n", 1, 5, "is not YAML: mapping values are not allowed here"),
        ("a:\n\tb: 1\n", 2, 1, "is not YAML: found character '\\t' that cannot start any token"),
        ("k: {a: ${KEY}}\n", 1, 9, "is not YAML: expected ',' or '}', but got '{'; put quotes around \"${…}\""),
        ("key: *PKSECRET\n", 1, 6, "is not YAML: found undefined alias '…'"),
        ("a: 1\nb: \x00\n", 2, 0, "has a character that YAML does not allow"),
        ("[" * 500, 1, 0, "is nested too deeply"),
        ("a: 1\n---\nb: 1\n", 2, 1, "is not YAML: but found another document"),
    ],
)
def test_fault_of_syntax_names_line_and_column(text, line, column, message):
    """Text that is not YAML is one fault where it begins, and none of the text is repeated."""
    document = read(text)
    assert document.faults == [((), line, column, message)]
    assert not document.readable


@given(st.text(alphabet=st.sampled_from("ab:-[]{}&*!#'\"\n\t ,?|>%@`~<.01e_$\\"), max_size=40))
def test_reading_never_raises(text):
    """Any text is a value or a fault."""
    document = read(text)
    assert document.readable or len(document.faults) == 1
