"""Alpaca's stream of stock market data: `/v2/iex` and `/v2/sip`.

docs.alpaca.markets, "Streaming Market Data" and "Real-time Stock Data": a greeting, `auth`, `subscribe`, then lists of messages; JSON in
text frames, or MessagePack in binary ones with timestamps of its own kind where the client's Content-Type asks for it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from .fault_book import FaultBook
from .market import Message, worded
from .sandbox_config import SandboxConfig
from .stamps import NS, now_ns
from .stream_hub import StreamHub, decoded
from .stream_link import Link, Payload

ERRORS = {
    400: "invalid syntax",
    401: "not authenticated",
    402: "auth failed",
    403: "already authenticated",
    404: "auth timeout",
    405: "symbol limit exceeded",
    406: "connection limit exceeded",
    407: "slow client",
    409: "insufficient subscription",
    500: "internal error",
}
CHANNELS = ("trades", "quotes", "bars", "updatedBars", "dailyBars", "statuses", "lulds")
FOLLOWING = ("corrections", "cancelErrors")
"""Subscribed together with trades, without being named."""

LIMITED = ("trades", "quotes")
CHANNEL_OF = {"t": "trades", "q": "quotes", "b": "bars", "u": "updatedBars", "d": "dailyBars"}


class DataStream(StreamHub):
    """The subscribers to market data."""

    stream = "data"

    def __init__(self, config: SandboxConfig, faults: FaultBook) -> None:
        super().__init__(config, faults, config.second_data_connection)

    def greet(self, link: Link) -> None:
        _say(link, [{"T": "success", "msg": "connected"}])

    def too_late(self, link: Link) -> None:
        _refuse(link, 404)
        link.close(1008, ERRORS[404])

    def hear(self, link: Link, payload: Payload, refusal: str) -> None:
        try:
            message = decoded(payload, packed=link.packed)
            action = message["action"]
        except (ValueError, TypeError, KeyError, msgspec.DecodeError):
            _refuse(link, 400)
            return
        if action == "auth":
            self._authenticate(link, message, refusal)
        elif action in ("subscribe", "unsubscribe"):
            self._subscribe(link, message, adding=action == "subscribe")
        else:
            _refuse(link, 400)

    def _authenticate(self, link: Link, message: dict[str, Any], refusal: str) -> None:
        if link.known:
            _refuse(link, 403)
            return
        if refusal in ("406", "1008"):
            self.refused += 1
            if refusal == "406":
                _refuse(link, 406)
            link.close(1008, ERRORS[406])
            return
        if refusal == "unauthorized" or not self.accepts(message.get("key"), message.get("secret")):
            _refuse(link, 402)
            return
        link.known = True
        _say(link, [{"T": "success", "msg": "authenticated"}])

    def _subscribe(self, link: Link, message: dict[str, Any], *, adding: bool) -> None:
        if not link.known:
            _refuse(link, 401)
            return
        named = {channel: message[channel] for channel in CHANNELS if message.get(channel)}
        if not all(isinstance(symbols, list) for symbols in named.values()):
            _refuse(link, 400)
            return
        if adding and self._too_many(link, named):
            _refuse(link, 405)
            return
        for channel, symbols in named.items():
            held = link.streams.setdefault(channel, set())
            held.update(map(str, symbols)) if adding else held.difference_update(map(str, symbols))
        answer = {channel: sorted(link.streams.get(channel, ())) for channel in CHANNELS}
        answer.update(dict.fromkeys(FOLLOWING, answer["trades"]))
        _say(link, [{"T": "subscription", **answer}])
        if any(link.streams.values()) and not link.ready:
            self.made_ready(link)

    def _too_many(self, link: Link, named: dict[str, list[Any]]) -> bool:
        """Whether a subscription would have more trades and quotes than the free feed allows; bars do not count."""
        most = self.config.free_channels
        if most == 0 or not link.request.path.endswith("/iex"):
            return False
        wanted = {(channel, str(symbol)) for channel in LIMITED for symbol in named.get(channel, ())}
        held = {(channel, symbol) for channel in LIMITED for symbol in link.streams.get(channel, ())}
        return len(wanted | held) > most

    # --- Telling -----------------------------------------------------------------------------------------------------------

    def tell(self, messages: Sequence[Message]) -> None:
        """Send to each subscriber what it has subscribed to, as one frame."""
        for link in self.ready:
            if link.silent:
                continue
            wanted = [message for message in messages if _is_wanted(link, message)]
            if wanted:
                _say(link, [self._spoilt(message) for message in wanted])

    def tell_raw(self, message: Any) -> None:
        for link in self.ready:
            _say(link, message if isinstance(message, list) else [message])

    def _spoilt(self, message: Message) -> Message:
        if message["T"] != "q":
            return message
        struck = self.faults.at_frame(now_ns(), "data", "quote")
        return message if struck is None else BAD_QUOTES[(struck.struck - 1) % len(BAD_QUOTES)](message)


def _is_wanted(link: Link, message: Message) -> bool:
    symbols = link.streams.get(CHANNEL_OF.get(message["T"], ""), ())
    return message["S"] in symbols or "*" in symbols


BAD_QUOTES: tuple[Callable[[Message], Message], ...] = (
    lambda quote: {**quote, "bp": quote["ap"], "ap": quote["bp"] / 2},  # crossed
    lambda quote: {**quote, "ap": 0, "as": 0},
    lambda quote: {**quote, "bp": float("nan")},
    lambda quote: {**quote, "bp": quote["bp"] * 100, "ap": quote["ap"] * 100},
    lambda quote: {**quote, "bp": -quote["bp"]},
)


def _refuse(link: Link, code: int) -> None:
    _say(link, [{"T": "error", "code": code, "msg": ERRORS[code]}])


def _say(link: Link, messages: list[Any]) -> None:
    link.send(_packed(messages) if link.packed else _text(messages))


def _text(messages: list[Any]) -> str:
    told = [worded(message) if isinstance(message.get("t"), int) else message for message in messages]
    return msgspec.json.encode(told).decode()


def _packed(messages: list[Any]) -> bytes:
    told = [
        {**message, "t": _stamp(message["t"])} if isinstance(message.get("t"), int) else message for message in messages
    ]
    return msgspec.msgpack.encode(told)


def _stamp(ns: int) -> msgspec.msgpack.Ext:
    """Return a time as MessagePack's own type has it, in its form of 64 bits."""
    seconds, rest = divmod(ns, NS)
    return msgspec.msgpack.Ext(-1, (rest << 34 | seconds).to_bytes(8, "big"))
