"""The bodies of admin requests, and how they are read: everything that is wrong is said, with what would be accepted."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any, TypeVar

from ...config.kinds import Check, NotNegative, Positive, Section, Symbol
from ...config.problems import InvalidSettings, KeyPath, Problem, path_text
from ...config.schema import Reader

S = TypeVar("S", bound=Section)
EXAMPLE = '{"symbol": "AAPL"}'
Text = Annotated[str, Check("some text", lambda text: bool(text.strip()))]


class Asked:
    """An admin request."""

    def __init__(self, named: Mapping[str, str], query: Mapping[str, str], body: Any) -> None:
        self.named = named
        self.query = query
        self.body = body

    def fields(self) -> dict[str, Any]:
        """Return the body as it came, a copy: an object, or nothing, which is an empty one. Raises InvalidSettings."""
        if self.body is None:
            return {}
        if not isinstance(self.body, dict):
            message = (
                f"is {json.dumps(self.body)[:40]}; accepted: an object of JSON with named fields, such as {EXAMPLE}"
            )
            raise InvalidSettings([Problem(path="body", value=self.body, message=message)])
        return dict(self.body)

    def after(self) -> int:
        """Return the number that the query wants only newer ones than. Raises InvalidSettings."""
        text = self.query.get("after", "0")
        if not (text.isascii() and text.isdigit()):
            raise InvalidSettings(
                [Problem(path="after", value=text, message=f"{text!r}; accepted: a whole number, such as 17")]
            )
        return int(text)

    def read(self, kind: type[S], *needed: str) -> S:
        """Read the body as an object of this kind. Raises InvalidSettings."""
        problems: list[Problem] = []

        def note(path: KeyPath, value: object, message: str) -> None:
            problems.append(Problem(path=path_text(path), value=value, message=message))

        read = Reader(note).section(kind, self.body, ())
        wrong = {problem.path for problem in problems}
        for name in needed:
            if getattr(read, name) is None and name not in wrong:
                note((name,), None, f"is missing; accepted: {', '.join(kind.__struct_fields__)}")
        if problems:
            raise InvalidSettings(problems)
        return read


class QuoteBody(Section, frozen=True, kw_only=True):
    """A quote; with `price` alone one around it, and a trade at it."""

    symbol: Symbol | None = None
    price: Positive | None = None
    bid: NotNegative | None = None
    ask: NotNegative | None = None
    bid_size: NotNegative = Decimal(1000)
    ask_size: NotNegative = Decimal(1000)


class BarBody(Section, frozen=True, kw_only=True):
    """A minute bar for the stream of market data and its history; the broker trades at quotes, not at bars."""

    symbol: Symbol | None = None
    open: Positive | None = None
    high: Positive | None = None
    low: Positive | None = None
    close: Positive | None = None
    volume: NotNegative = Decimal(1000)
    time: Text | None = None


class OrderName(Section, frozen=True, kw_only=True):
    """An order by either of its ids; `qty` and `price` of an execution."""

    order_id: Text | None = None
    client_order_id: Text | None = None
    qty: Positive | None = None
    price: Positive | None = None


class ExecutionName(Section, frozen=True, kw_only=True):
    """An execution of trade updates; `qty` and `price` as they are corrected."""

    execution_id: Text | None = None
    qty: Positive | None = None
    price: Positive | None = None


class ActivityBody(Section, frozen=True, kw_only=True):
    """Something that is booked overnight: a dividend, a fee, a split, a transfer, a new name."""

    activity_type: Text | None = None
    symbol: Symbol | None = None
    net_amount: Decimal | None = None
    qty: Decimal | None = None
    per_share_amount: Decimal | None = None
    price: Decimal | None = None
    ratio: Positive | None = None
    new_symbol: Symbol | None = None
    date: Text | None = None
    description: str = ""
    keep_orders: bool = False


class PlayBody(Section, frozen=True, kw_only=True):
    """Whether the market moves by itself."""

    playing: bool | None = None


class RawBody(Section, frozen=True, kw_only=True):
    """A message to send to who listens, whatever it is."""

    stream: Text | None = None
    message: Any = None
