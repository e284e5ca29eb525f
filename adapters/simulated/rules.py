"""The settings of the simulated exchange, and what a refusal is: a value, a code for programs and a text with the numbers."""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum
from typing import Literal, NamedTuple

import msgspec

from ...actors.model import ZERO

ONE, INFINITY = Decimal(1), Decimal("Infinity")
SECOND_NS = 1_000_000_000

Check = tuple[str, object, bool, str]
"""A field, its value, whether that is possible, and what would be."""


class ExchangeRules(msgspec.Struct, frozen=True, kw_only=True):
    """How the exchange fills and what it charges. The defaults are the pessimistic choices, save that costs are zero.

    `slippage` is a fraction of the price and `slippage_fixed` currency a share, both against the order and both added.
    An order's commission is `commission` (currency an order) and `commission_per_share` and `commission_fraction` (of
    its notional) together, at least `commission_minimum`, at most `commission_maximum` (a fraction of its notional).
    `regulatory_fees` are those of the US on sales (`fees.py`).
    `impact` is the coefficient of the square-root law (`impact.py`), `impact_sessions` how many sessions its volatility
    and volume are taken from. `participation` is the part of a bar's volume that all orders of its symbol may take
    together; None ignores volume altogether. Fill prices are multiples of `price_increment`, rounded against the order.
    The margins, `borrow_rate` (a year, of the short market value) and `margin_call` count in a margin account alone,
    and `settlement_days` (sessions until what a sale brought may be spent) in a cash account. With
    `adjust_orders_for_dividends` a dividend lowers the orders that FINRA's rule 5330 names (`adjustments.py`).
    `path` says in which order a bar's prices came (`path.py`), `same_bar_exits` whether an exit that answers its entry's
    fill may trade in the rest of that bar. `outside_session` is what becomes of a DAY, OPG or CLS order sent outside of
    a session: it belongs to the next one, or is refused. Later than the cut-offs before a session's open and close its
    OPG and CLS orders are refused, where these times are known. A command takes effect a latency after it was sent.
    """

    slippage: Decimal = ZERO
    slippage_fixed: Decimal = ZERO
    commission: Decimal = ZERO
    commission_per_share: Decimal = ZERO
    commission_fraction: Decimal = ZERO
    commission_minimum: Decimal = ZERO
    commission_maximum: Decimal | None = None
    regulatory_fees: bool = False
    impact: Decimal | None = None
    impact_sessions: int = 20
    fill: Literal["next_open", "close"] = "next_open"
    limit_fill: Literal["through", "touch"] = "through"
    participation: Decimal | None = Decimal("0.1")
    price_increment: Decimal = Decimal("0.0001")
    account_type: Literal["cash", "margin"] = "cash"
    cash: Decimal = Decimal(100000)
    initial_margin: Decimal = Decimal("0.5")
    maintenance_margin: Decimal = Decimal("0.25")
    short_initial_margin: Decimal | None = None
    settlement_days: int = 0
    borrow_rate: Decimal = ZERO
    margin_call: Literal["flag", "liquidate"] = "flag"
    adjust_orders_for_dividends: bool = True
    path: Literal["pessimistic", "adaptive", "optimistic"] = "pessimistic"
    same_bar_exits: bool = True
    outside_session: Literal["next", "refuse"] = "next"
    opg_cutoff_ns: int = 120 * SECOND_NS
    cls_cutoff_ns: int = 600 * SECOND_NS
    latency_submit_ns: int = 0
    latency_cancel_ns: int = 0

    def __post_init__(self) -> None:
        participation = ONE if self.participation is None else self.participation
        impact = ONE if self.impact is None else self.impact
        for name, value, possible, wanted in (
            ("slippage", self.slippage, ZERO <= self.slippage < ONE, "a fraction from 0 up to, not including, 1"),
            (
                "slippage_fixed",
                self.slippage_fixed,
                ZERO <= self.slippage_fixed < INFINITY,
                "0 or more currency a share",
            ),
            ("commission", self.commission, ZERO <= self.commission < INFINITY, "0 or more currency an order"),
            *self._commission_checks(),
            ("impact", impact, ZERO < impact < INFINITY, "a coefficient above 0 such as 1, or None"),
            ("impact_sessions", self.impact_sessions, self.impact_sessions >= 3, "3 sessions or more"),
            ("fill", self.fill, self.fill in ("next_open", "close"), "next_open or close"),
            ("limit_fill", self.limit_fill, self.limit_fill in ("through", "touch"), "through or touch"),
            ("participation", participation, ZERO < participation <= ONE, "a fraction above 0 up to 1, or None"),
            ("price_increment", self.price_increment, ZERO < self.price_increment < INFINITY, "a step such as 0.0001"),
            ("account_type", self.account_type, self.account_type in ("cash", "margin"), "cash or margin"),
            ("cash", self.cash, self.cash.is_finite(), "an amount of currency"),
            *self._margin_checks(),
            *self._order_checks(),
        ):
            if not possible:
                raise ValueError(f"{name}: {value} is not possible; give {wanted}")

    def _commission_checks(self) -> tuple[Check, ...]:
        maximum = ONE if self.commission_maximum is None else self.commission_maximum
        share, fraction, minimum = self.commission_per_share, self.commission_fraction, self.commission_minimum
        return (
            ("commission_per_share", share, ZERO <= share < INFINITY, "0 or more currency a share"),
            ("commission_fraction", fraction, ZERO <= fraction < ONE, "a fraction from 0 up to, not including, 1"),
            ("commission_minimum", minimum, ZERO <= minimum < INFINITY, "0 or more currency an order"),
            ("commission_maximum", maximum, ZERO < maximum <= ONE, "a fraction above 0 up to 1, or None"),
        )

    def _margin_checks(self) -> tuple[Check, ...]:
        initial, maintenance = self.initial_margin, self.maintenance_margin
        short = initial if self.short_initial_margin is None else self.short_initial_margin
        at_most = min(initial, short)
        call, days, rate = self.margin_call, self.settlement_days, self.borrow_rate
        return (
            ("initial_margin", initial, ZERO < initial <= ONE, "a fraction above 0 up to 1"),
            ("short_initial_margin", short, ZERO < short < INFINITY, "a fraction above 0, or None"),
            (
                "maintenance_margin",
                maintenance,
                ZERO <= maintenance <= at_most,
                f"0 up to the initial margin {at_most}",
            ),
            ("margin_call", call, call in ("flag", "liquidate"), "flag or liquidate"),
            ("settlement_days", days, days >= 0, "0 or more sessions"),
            ("borrow_rate", rate, ZERO <= rate < INFINITY, "0 or more, a fraction a year"),
        )

    def _order_checks(self) -> tuple[Check, ...]:
        path, outside, late = self.path, self.outside_session, self.latency_submit_ns or self.latency_cancel_ns
        paths = ("pessimistic", "adaptive", "optimistic")
        at_once = self.fill == "close"
        return (
            ("path", path, path in paths, "pessimistic, adaptive or optimistic"),
            ("outside_session", outside, outside in ("next", "refuse"), "next or refuse"),
            *((name, value, value >= 0, "0 or more nanoseconds") for name, value in self._durations()),
            (
                "fill",
                self.fill,
                not (at_once and late),
                "next_open: with a latency no order arrives at the close it has seen",
            ),
        )

    def _durations(self) -> tuple[tuple[str, int], ...]:
        return (
            ("opg_cutoff_ns", self.opg_cutoff_ns),
            ("cls_cutoff_ns", self.cls_cutoff_ns),
            ("latency_submit_ns", self.latency_submit_ns),
            ("latency_cancel_ns", self.latency_cancel_ns),
        )


class RefusalCode(StrEnum):
    """Why the exchange refuses an order, a cancel or a replacement."""

    UNKNOWN_SYMBOL = "UNKNOWN_SYMBOL"
    UNSUPPORTED_ORDER_TYPE = "UNSUPPORTED_ORDER_TYPE"
    UNSUPPORTED_TIME_IN_FORCE = "UNSUPPORTED_TIME_IN_FORCE"
    BAD_QUANTITY = "BAD_QUANTITY"
    BAD_PRICE = "BAD_PRICE"
    INSUFFICIENT_BUYING_POWER = "INSUFFICIENT_BUYING_POWER"
    SHORT_SALE_NOT_ALLOWED = "SHORT_SALE_NOT_ALLOWED"
    DUPLICATE_ORDER_ID = "DUPLICATE_ORDER_ID"
    NO_MARKET_DATA = "NO_MARKET_DATA"
    TOO_LATE = "TOO_LATE"
    UNKNOWN_ORDER = "UNKNOWN_ORDER"
    UNSUPPORTED_EXTENDED_HOURS = "UNSUPPORTED_EXTENDED_HOURS"
    OUTSIDE_SESSION = "OUTSIDE_SESSION"
    PAST_CUTOFF = "PAST_CUTOFF"


class Refusal(NamedTuple):
    """A code and a text that carries the numbers. The code is a plain string, as a broker would send it."""

    code: str
    text: str


def refusal(code: RefusalCode, text: str) -> Refusal:
    """Return the refusal with this code."""
    return Refusal(code.value, text)
