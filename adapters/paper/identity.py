"""What makes a paper account what it is: the exchange's rules, the instruments, and the data that it trades on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import msgspec

from ...actors.model import Instrument, as_datetime
from ..simulated.rules import ExchangeRules

SHOWN = 3
"""Differences that are told one by one."""


class Data(Protocol):
    """What is looked at of a feed."""

    @property
    def symbols(self) -> tuple[str, ...]: ...
    @property
    def start_ns(self) -> int: ...


def identity_of(
    rules: ExchangeRules, instruments: Mapping[str, Instrument], feed: Data, account: str
) -> dict[str, Any]:
    """Return what must be the same each time the account is opened, in words of JSON."""
    found = {
        "account": account,
        "data.symbols": list(feed.symbols),
        "first bar": f"{as_datetime(feed.start_ns):%Y-%m-%d %H:%M:%S} UTC",
        "calendar": getattr(getattr(feed, "schedule", None), "name", None),
    }
    found |= {f"exchange.{name}": value for name, value in msgspec.to_builtins(rules).items()}
    for symbol, instrument in sorted(instruments.items()):
        found[f"instruments.{symbol}"] = f"lot {instrument.lot}, tick {instrument.tick}"
    return msgspec.json.decode(msgspec.json.encode(found))  # type: ignore[no-any-return]


def differences(was: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Name what differs, the first few of it, or return nothing."""
    names = [name for name in {**was, **now} if was.get(name) != now.get(name)]
    told = [f"{name} was {_shown(was.get(name))} and is now {_shown(now.get(name))}" for name in names[:SHOWN]]
    more = len(names) - SHOWN
    return "; ".join([*told, *([f"and {more} more"] if more > 0 else [])])


def _shown(value: Any) -> str:
    text = ", ".join(value) if isinstance(value, list) else "none" if value is None else str(value)
    return text if len(text) <= 60 else text[:57] + "..."
