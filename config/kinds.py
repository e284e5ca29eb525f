"""What a setting's value may be: the type that it is read into, and the check that it must pass.

The words are plain literals, since this floor knows nothing of the domain.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any, ClassVar, Literal
from zoneinfo import ZoneInfo

import msgspec


@dataclass(frozen=True, slots=True)
class Check:
    """What a value must be beyond its type, in words for a person and as a test."""

    accepted: str
    holds: Callable[[Any], bool]


class Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A group of settings; it cannot be changed, and every setting has a default.

    A plain value in place of the section stands for the fields of `shorthand` that take such a value, a number or a word.
    """

    shorthand: ClassVar[tuple[str, ...]] = ()


def _is_timezone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (OSError, ValueError, KeyError):
        return False
    return True


_STRATEGY = re.compile(r"(?:.+\.py|[^\W\d]\w*(?:\.[^\W\d]\w*)*):[^\W\d]\w*")
_SYMBOL = re.compile(r"[A-Za-z0-9^](?:[A-Za-z0-9 ._:/=+-]*[A-Za-z0-9=+-])?")
_INSTANCE = re.compile(r"[a-z0-9]{1,8}")
_REST = re.compile(r"https?://[^\s/]+(?:/\S*)?")
_STREAM = re.compile(r"wss?://[^\s/]+(?:/\S*)?")
_CALENDAR = re.compile(r"[A-Za-z0-9][A-Za-z0-9_/]*")
_NO_DELAY = Decimal(0)
_SHORTEST = Decimal("0.001")

Mode = Literal["backtest", "paper", "live"]
Provider = Literal["alpaca", "ib", "simulated"]
CommissionPreset = Literal["alpaca", "ib_fixed", "ib_tiered"]
FillAt = Literal["next_open", "close"]
LimitFill = Literal["through", "touch"]
AccountType = Literal["cash", "margin"]
IntrabarPath = Literal["pessimistic", "adaptive", "optimistic"]
OutsideSession = Literal["next", "refuse"]
MarginCall = Literal["flag", "liquidate"]
TargetTimeInForce = Literal["DAY", "GTC"]
Stamp = Literal["open", "close"]
BadRows = Literal["stop", "skip"]
Keep = Literal["all", "open"]
Recording = Literal["none", "inputs"]
OnStop = Literal["leave", "cancel", "flatten"]
LogForm = Literal["auto", "console", "json"]
LogLevel = Literal["debug", "info", "warning", "error"]
PriceSource = Literal["file", "alpaca"]
AlpacaFeed = Literal["iex", "sip"]
Adjustment = Literal["raw", "split", "dividend", "all"]
Timeframe = Literal["1Min", "5Min", "15Min", "30Min", "1Hour", "1Day"]

Fraction = Annotated[Decimal, Check("a number from 0 up to, but not including, 1", lambda x: 0 <= x < 1)]
Share = Annotated[Decimal, Check("a number above 0 and up to 1", lambda x: 0 < x <= 1)]
Positive = Annotated[Decimal, Check("a number above 0", lambda x: x > 0)]
NotNegative = Annotated[Decimal, Check("a number of at least 0", lambda x: x >= 0)]
Seconds = Annotated[Decimal, Check("a number of seconds, at least 0.001", lambda x: x >= _SHORTEST)]
SecondsOrOff = Annotated[
    Decimal, Check("0 or a number of seconds, at least 0.001", lambda x: x == _NO_DELAY or x >= _SHORTEST)
]
Speed = Annotated[
    Decimal | Literal["max"],
    Check("max, or a number from 0.001 to 1000000", lambda x: x == "max" or _SHORTEST <= x <= 1_000_000),
]
Delay = Annotated[Decimal, Check("a number of seconds from 0 to 3600", lambda x: 0 <= x <= 3600)]
CutOff = Annotated[Decimal, Check("a number of seconds from 0 to 86400", lambda x: 0 <= x <= 86400)]
YearlyRate = Annotated[Decimal, Check("a fraction a year from 0 to 10 (0.03 = 3 %)", lambda x: 0 <= x <= 10)]
SettlementDays = Annotated[int, Check("a whole number of sessions from 0 to 10", lambda x: 0 <= x <= 10)]
VolatilitySessions = Annotated[int, Check("a whole number of sessions from 3 to 1000", lambda x: 3 <= x <= 1000)]
Count = Annotated[int, Check("a whole number from 1 to 1000000", lambda x: 1 <= x <= 1_000_000)]
Seed = Annotated[int, Check("a whole number from 0 to 9223372036854775807", lambda x: 0 <= x < 2**63)]
InstanceName = Annotated[
    str,
    Check(
        "1 to 8 characters a to z and 0 to 9 (in quotes where it is a number)",
        lambda text: _INSTANCE.fullmatch(text) is not None,
    ),
]
FilePath = Annotated[str, Check("the path of a file or a folder", lambda text: bool(text.strip()) and "\0" not in text)]
StrategyPath = Annotated[
    str, Check("file.py:Class or package.module:Class", lambda text: _STRATEGY.fullmatch(text) is not None)
]
Symbol = Annotated[
    str,
    Check("a symbol such as AAPL (in quotes where it is a number)", lambda text: _SYMBOL.fullmatch(text) is not None),
]
Symbols = Annotated[
    tuple[Symbol, ...],
    Check("a list of symbols such as [AAPL, MSFT], each once", lambda symbols: len(set(symbols)) == len(symbols)),
]
RestAddress = Annotated[
    str, Check("an address such as https://paper-api.alpaca.markets", lambda text: _REST.fullmatch(text) is not None)
]
StreamAddress = Annotated[
    str,
    Check("an address such as wss://paper-api.alpaca.markets/stream", lambda text: _STREAM.fullmatch(text) is not None),
]
CalendarName = Annotated[
    str, Check("the name of an exchange calendar such as XNYS", lambda text: _CALENDAR.fullmatch(text) is not None)
]
TimeZone = Annotated[str, Check("a time zone of the IANA database such as America/New_York", _is_timezone)]
