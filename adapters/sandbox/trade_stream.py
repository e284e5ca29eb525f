"""Alpaca's stream of trade updates: `/stream`.

docs.alpaca.markets, "Websocket Streaming": clients authenticate, then listen. Frames are binary, JSON in them unless the client
asks for MessagePack by its Content-Type. One connection an account. Nothing is sent again: what happens while nobody listens is
lost to the stream.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import msgspec

from .fault_book import FaultBook
from .sandbox_config import SandboxConfig
from .stamps import now_ns
from .stream_hub import StreamHub, decoded
from .stream_link import Link, Payload

Message = dict[str, Any]
TRADE_UPDATES = "trade_updates"
MYSTERY = "mystery_of_tomorrow"
"""An event, or a status, that no documentation knows."""


class TradeStream(StreamHub):
    """The listeners to trade updates."""

    stream = "trade"

    def __init__(self, config: SandboxConfig, faults: FaultBook) -> None:
        super().__init__(config, faults, config.second_connection)

    def hear(self, link: Link, payload: Payload, refusal: str) -> None:
        try:
            message = decoded(payload, packed=link.packed)
            action = message["action"]
        except (ValueError, TypeError, KeyError, msgspec.DecodeError):
            _say(link, {"stream": "error", "data": {"error": "invalid syntax"}})
            return
        if action in ("authenticate", "auth"):
            self._authenticate(link, message, refusal)
        elif action == "listen":
            self._listen(link, message)
        else:
            _say(link, {"stream": "error", "data": {"error": f"unknown action {action}"}})

    def _authenticate(self, link: Link, message: Message, refusal: str) -> None:
        """Check the keys, in the older form (`data` with `key_id`) or the newer one (`key`, `secret`)."""
        data = message.get("data")
        keys = (
            (data.get("key_id"), data.get("secret_key"))
            if isinstance(data, dict)
            else (message.get("key"), message.get("secret"))
        )
        if refusal == "1008":
            self.refused += 1
            link.close(1008, "connection limit exceeded")
            return
        if refusal == "406":
            self.refused += 1
            _say(link, {"stream": "error", "data": {"code": 406, "error": "connection limit exceeded"}})
            link.close(1008, "connection limit exceeded")
            return
        link.known = self.accepts(*keys) and refusal != "unauthorized"
        status = "authorized" if link.known else "unauthorized"
        _say(link, {"stream": "authorization", "data": {"action": "authenticate", "status": status}})

    def _listen(self, link: Link, message: Message) -> None:
        """Subscribe to the streams that are named, and to no others any more. Those that do not exist are not acknowledged."""
        if not link.known:
            _say(link, {"stream": "authorization", "data": {"action": "listen", "status": "unauthorized"}})
            return
        data = message.get("data")
        named = data.get("streams") if isinstance(data, dict) else None
        names = [TRADE_UPDATES] if isinstance(named, list) and TRADE_UPDATES in named else []
        link.streams = {name: set() for name in names}
        _say(link, {"stream": "listening", "data": {"streams": names}})
        link.ready = False
        if names:
            self.made_ready(link)

    # --- Telling -----------------------------------------------------------------------------------------------------------

    def tell(self, update: Message) -> None:
        """Send an update to who listens, or do to its frame what a fault says."""
        for link in self.ready:
            if link.silent:
                continue
            struck = self.faults.at_frame(now_ns(), "trade", update["event"])
            name = "" if struck is None else struck.name
            frame = _encoded(link, {"stream": TRADE_UPDATES, "data": CHANGES.get(name, _as_it_is)(update)})
            seconds = 0.0 if struck is None or struck.seconds is None else struck.seconds
            SENDING.get(name, _send)(link, frame, seconds)

    def tell_raw(self, message: Any) -> None:
        """Send whatever somebody wants to see sent."""
        for link in self.ready:
            _say(link, message)


def _say(link: Link, message: Any) -> None:
    link.send(_encoded(link, message))


def _encoded(link: Link, message: Any) -> bytes:
    return msgspec.msgpack.encode(message) if link.packed else msgspec.json.encode(message)


def _send(link: Link, frame: bytes, seconds: float) -> None:
    link.send(frame)


def _drop(link: Link, frame: bytes, seconds: float) -> None:
    pass


def _twice(link: Link, frame: bytes, seconds: float) -> None:
    link.send(frame)
    if seconds:
        link.later(frame, seconds)
    else:
        link.send(frame)


def _late(link: Link, frame: bytes, seconds: float) -> None:
    link.pause(seconds)
    link.send(frame)


SENDING: dict[str, Callable[[Link, bytes, float], None]] = {
    "drop_frame": _drop,
    "duplicate_frame": _twice,
    "reorder": Link.hold,
    "delay": _late,
}


def _as_it_is(update: Message) -> Message:
    return update


def _unknown_event(update: Message) -> Message:
    return {**update, "event": MYSTERY}


def _unknown_status(update: Message) -> Message:
    changed = copy.copy(update)
    changed["order"] = {**update["order"], "status": MYSTERY}
    return changed


def _bare(update: Message) -> Message:
    """Leave out what says how much this execution was: the order's total is all that is told (Alpaca-API#103)."""
    return {name: value for name, value in update.items() if name not in ("qty", "price", "execution_id")}


CHANGES: dict[str, Callable[[Message], Message]] = {
    "unknown_event": _unknown_event,
    "unknown_status": _unknown_status,
    "bare_fill": _bare,
}
