"""How the sandbox's broker behaves: its account, its delays, its chance, and what it lists."""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

import msgspec

COMMON = ("AAPL", "AMZN", "GOOG", "IWM", "META", "MSFT", "NVDA", "QQQ", "SPY", "TSLA")


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """A stock that the broker lists."""

    symbol: str
    name: str = ""
    exchange: str = "NASDAQ"
    tradable: bool = True
    marginable: bool = True
    shortable: bool = True
    easy_to_borrow: bool = True
    fractionable: bool = True


class BrokerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The account and the ways of the broker.

    `seed` decides every id and every chance. An order is `pending_new` for `new_delay_ns`, a cancel and a replace are
    under way for theirs; with 0 they are done within the request. An execution is cut to a random part of itself with
    `partial_probability`. Quotes limit what fills against them where `limited_by_size`, as a bar's volume times
    `participation` does; Alpaca's own paper engine looks at neither. `hours` is the exchange's (09:30 to 16:00 in New York on
    weekdays, or `sessions` where they are given: date, open_ns, close_ns), or `always`, where a session is a date in New
    York and never closed, so that one can try things at any hour; the calendar is the exchange's all the same.

    Activities of one millisecond are in no order at Alpaca (alpacahq/Alpaca-API#170); here they are, unless
    `activities_in_order` is false.

    With `multiplier` 1 the account is a cash account: it does not go short. A symbol that is not `listed` is unknown, unless
    `lists_anything`: then it is listed when it is first named, with the terms of `Listed`.
    """

    kind: Literal["paper", "live"] = "paper"
    seed: int = 0
    account_number: str | None = None
    cash: Decimal = Decimal(100000)
    multiplier: Literal[1, 2, 4] = 4
    new_delay_ns: int = 0
    cancel_delay_ns: int = 0
    replace_delay_ns: int = 0
    partial_probability: float = 0.0
    limited_by_size: bool = True
    participation: Decimal | None = None
    activities_in_order: bool = True
    hours: Literal["exchange", "always"] = "exchange"
    sessions: tuple[tuple[str, int, int], ...] = ()
    listed: tuple[Listed, ...] = tuple(Listed(symbol=symbol, name=symbol) for symbol in COMMON)
    lists_anything: bool = False
