"""The faults that the sandbox can commit: a table of names, when each one strikes and what it does to an answer.

Each is something that Alpaca, its load balancers or the network between have done to somebody. A fault strikes for certain: what is
dropped is cut off at the transport, what hangs is not answered, what is mute says nothing.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

RestName = Literal[
    "504_before_accept",
    "504_after_accept",
    "504_then_accept",
    "502_html",
    "502_html_after",
    "500",
    "500_after",
    "429",
    "drop_before",
    "drop_after",
    "hang_before",
    "hang_after",
    "slow",
    "not_found",
    "empty",
    "garbage",
    "refuse_key",
    "unknown_status_answer",
]
FrameName = Literal[
    "drop_frame", "duplicate_frame", "reorder", "delay", "unknown_event", "unknown_status", "bare_fill", "bad_quote"
]
LinkName = Literal["mute", "half_open", "close_1011", "cut", "silence", "data_half_open", "data_close_1011", "data_cut"]
ConnectName = Literal["refuse_second", "unauthorized", "data_refuse_second", "data_unauthorized"]
FaultName = Literal[RestName, FrameName, LinkName, ConnectName]

Occasion = Literal["request", "frame", "link", "connect"]
Stream = Literal["trade", "data"]
Acts = Literal["no", "yes", "late"]
Replies = Literal[
    "as it is",
    "504",
    "502 in HTML",
    "500",
    "429",
    "cut",
    "nothing",
    "late",
    "404",
    "[]",
    "half a body",
    "403",
    "unknown status",
]


class Kind(NamedTuple):
    """When a fault strikes, and how long it goes on unless its rule says otherwise (None: for the connection's life)."""

    occasion: Occasion
    stream: Stream = "trade"
    seconds: float | None = None
    acts: Acts = "yes"
    replies: Replies = "as it is"
    methods: tuple[str, ...] = ()


_POST = ("POST",)
_LISTS = ("GET",)

KINDS: dict[str, Kind] = {
    # A request: is it acted upon, and what does the client see of it?
    "504_before_accept": Kind("request", acts="no", replies="504", methods=_POST),
    "504_after_accept": Kind("request", acts="yes", replies="504", methods=_POST),
    "504_then_accept": Kind("request", acts="late", replies="504", methods=_POST, seconds=2.0),
    "502_html": Kind("request", acts="no", replies="502 in HTML"),
    "502_html_after": Kind("request", acts="yes", replies="502 in HTML"),
    "500": Kind("request", acts="no", replies="500"),
    "500_after": Kind("request", acts="yes", replies="500"),
    "429": Kind("request", acts="no", replies="429", seconds=1.0),
    "drop_before": Kind("request", acts="no", replies="cut"),
    "drop_after": Kind("request", acts="yes", replies="cut"),
    "hang_before": Kind("request", acts="no", replies="nothing", seconds=60.0),
    "hang_after": Kind("request", acts="yes", replies="nothing", seconds=60.0),
    "slow": Kind("request", acts="yes", replies="late", seconds=2.0),
    "not_found": Kind("request", acts="no", replies="404", methods=_LISTS),
    "empty": Kind("request", acts="no", replies="[]", methods=_LISTS),
    "garbage": Kind("request", acts="yes", replies="half a body"),
    "refuse_key": Kind("request", acts="no", replies="403"),
    "unknown_status_answer": Kind("request", acts="yes", replies="unknown status"),
    # A frame of trade updates, or a quote on its way out.
    "drop_frame": Kind("frame"),
    "duplicate_frame": Kind("frame", seconds=0.0),
    "reorder": Kind("frame", seconds=2.0),
    "delay": Kind("frame", seconds=2.0),
    "unknown_event": Kind("frame"),
    "unknown_status": Kind("frame"),
    "bare_fill": Kind("frame"),
    "bad_quote": Kind("frame", stream="data"),
    # A connection that stands.
    "mute": Kind("link"),
    "half_open": Kind("link"),
    "close_1011": Kind("link"),
    "cut": Kind("link"),
    "silence": Kind("link", stream="data"),
    "data_half_open": Kind("link", stream="data"),
    "data_close_1011": Kind("link", stream="data"),
    "data_cut": Kind("link", stream="data"),
    # A connection that is being made.
    "refuse_second": Kind("connect"),
    "unauthorized": Kind("connect"),
    "data_refuse_second": Kind("connect", stream="data"),
    "data_unauthorized": Kind("connect", stream="data"),
}

NAMES: tuple[str, ...] = get_args(FaultName)
