"""Alpaca's rules: every row has its code and its source, and the tables say what the documentation does."""

from __future__ import annotations

from decimal import Decimal
from itertools import product
from typing import Any

import msgspec
import pytest

from ordersmith.actors.account_events import SessionConnected
from ordersmith.actors.actor import Record
from ordersmith.actors.model import OrderType, TimeInForce
from ordersmith.actors.ports import RuleKind
from ordersmith.adapters.alpaca.rules import CAPABILITIES, CLASS_RULES, RULES, broken_class_rule, wash_reason
from ordersmith.adapters.record_codec import decode_record

TYPES = ("market", "limit", "stop", "stop_limit", "trailing_stop")
TIMES = ("day", "gtc", "ioc", "fok", "opg", "cls")
SIMPLE = ("market", "limit", "stop", "stop_limit")


def taken(order_class: str = "simple", **terms: Any) -> set[tuple[str, str]]:
    """Return the pairs of type and time in force that no row refuses."""
    return {pair for pair in product(TYPES, TIMES) if broken_class_rule(order_class, *pair, **terms) is None}


def pairs(*rows: tuple[tuple[str, ...], tuple[str, ...]]) -> set[tuple[str, str]]:
    return {pair for types, times in rows for pair in product(types, times)}


@pytest.mark.parametrize(
    ("found", "documented"),
    [
        (taken(), pairs((SIMPLE, ("day", "gtc")), (("market", "limit"), TIMES), (("trailing_stop",), ("day", "gtc")))),
        (taken(is_fractional=True), pairs((SIMPLE, ("day",)))),
        (taken(has_notional=True), pairs((SIMPLE, ("day",)))),
        (taken(extended_hours=True), pairs((("limit",), ("day", "gtc")))),
        (taken(extended_hours=True, is_fractional=True), pairs((("limit",), ("day",)))),
        (taken("bracket"), pairs((SIMPLE, ("day", "gtc")))),
        (taken("oto"), pairs((SIMPLE, ("day", "gtc")))),
        (taken("oco"), pairs((("limit",), ("day", "gtc")))),
        (taken("bracket", is_fractional=True), set()),
        (taken("bracket", extended_hours=True), set()),
        (taken("mleg"), set()),
        (taken(""), taken()),
    ],
    ids="simple fractional notional extended both bracket oto oco fractional-bracket late-bracket mleg none".split(),
)
def test_what_goes_together_is_what_is_documented(found: set[Any], documented: set[Any]) -> None:
    """Which types and times in force an order of a class may have is Alpaca's table, pair by pair."""
    assert found == documented


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("simple", "stop", "gtc", False, False, True), "fractional orders must be DAY orders"),
        (("bracket", "market", "day", False, False, True), "fractional orders must be simple orders"),
        (
            ("simple", "trailing_stop", "day", False, False, True),
            "fractional orders must be market, limit, stop, or stop_limit orders",
        ),
        (("simple", "market", "day", True), "extended hours order must be DAY or GTC limit orders"),
        (("simple", "limit", "ioc", True), "extended hours order must be DAY or GTC limit orders"),
    ],
)
def test_a_broken_row_answers_with_alpacas_sentence(words: tuple[Any, ...], text: str) -> None:
    """Where Alpaca's answer is known the row says it word for word, with its code."""
    found = broken_class_rule(*words)
    assert found is not None
    assert (found.code, found.text) == ("42210000", text)


def test_every_row_has_a_code_of_alpacas_a_sentence_and_a_source() -> None:
    """Nothing is refused on hearsay."""
    for row in RULES:
        assert row.code in {"40310000", "42210000", "40010001"}
        assert row.text
        assert row.source.startswith(("docs.alpaca.markets/", "github.com/alpacahq/"))
    assert {row.kind for row in RULES} == set(RuleKind)


def test_every_row_about_terms_is_broken_by_some_order() -> None:
    """No row stands behind another that says the same."""
    broken = {
        found.text
        for pair in product(("simple", "bracket", "oco", "oto", "mleg"), TYPES, TIMES, (False, True))
        for fraction in (False, True)
        if (found := broken_class_rule(*pair, is_fractional=fraction)) is not None
    }
    assert broken == {row.text for row in CLASS_RULES}


def test_the_capabilities_exclude_what_the_rows_refuse() -> None:
    """The pairs that the port declares are those that a simple order of whole shares may have."""
    words = {(kind.value.lower(), each.value.lower()) for kind, each in CAPABILITIES.taken}
    assert words == taken()
    assert len(words) == 8 + 10
    assert set(CAPABILITIES.order_types) == set(OrderType)
    assert set(CAPABILITIES.times_in_force) == set(TimeInForce)


LIMITS = {"market": None, "stop": None, "limit": "10", "stop_limit": "10"}


@pytest.mark.parametrize(("new", "existing"), list(product(SIMPLE, SIMPLE)))
@pytest.mark.parametrize("side", ["buy", "sell"])
def test_the_wash_trade_table(side: str, new: str, existing: str) -> None:
    """Two limits are refused where they meet, everything else always, with the reason that names what is open."""

    def reason(mine: str, theirs: str) -> str | None:
        prices = [None if LIMITS[kind] is None else Decimal(price) for kind, price in ((new, mine), (existing, theirs))]
        return wash_reason(side, new, prices[0], existing, prices[1])

    apart = ("9.99", "10") if side == "buy" else ("10.01", "10")
    meets = {"limit", "stop_limit"} >= {new, existing}
    told = "opposite side limit order exists" if "limit" in existing else "opposite side market/stop order exists"
    assert reason("10", "10") == told
    assert reason(*apart) == (None if meets else told)


@pytest.mark.parametrize("other", TYPES)
def test_trailing_stops_are_outside_of_the_wash_trade_protection(other: str) -> None:
    """A trailing stop neither is refused nor has another refused."""
    price = Decimal(10) if "limit" in other else None
    assert wash_reason("buy", "trailing_stop", None, other, price) is None
    assert wash_reason("sell", other, price, "trailing_stop", None) is None


def test_the_rules_are_journaled_with_the_session() -> None:
    """What the gate knew of the broker's rules is in the record of its session."""
    record = Record(1, 2, 0, SessionConnected("main", CAPABILITIES))
    assert decode_record(msgspec.msgpack.encode(record)) == record
