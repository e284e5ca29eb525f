"""How one account at Alpaca is reached: its keys, and the addresses of trading, trade updates and market data."""

from __future__ import annotations

from typing import Literal

import msgspec

from ...config.secrets import Secret

Feed = Literal["iex", "sip"]

PAPER = ("https://paper-api.alpaca.markets", "wss://paper-api.alpaca.markets/stream")
LIVE = ("https://api.alpaca.markets", "wss://api.alpaca.markets/stream")
DATA = "https://data.alpaca.markets"
DATA_STREAM = "wss://stream.data.alpaca.markets/v2/"
"""Alpaca's addresses: docs.alpaca.markets, "Paper Trading" and "Real-time Stock Data"."""


class Access(msgspec.Struct, frozen=True, kw_only=True):
    """An account and where it is. Paths are what the SDK takes: the REST addresses without `/v2`, the streams whole.

    The keys are revealed where a client is made, and nowhere else.
    """

    key: Secret
    secret: Secret
    paper: bool
    base_url: str
    stream_url: str
    data_url: str
    data_stream_url: str
    feed: Feed = "iex"


def access(
    key: Secret,
    secret: Secret,
    *,
    paper: bool,
    feed: Feed = "iex",
    base_url: str | None = None,
    stream_url: str | None = None,
    data_url: str | None = None,
    data_stream_url: str | None = None,
) -> Access:
    """Return the access with Alpaca's own address where none is given."""
    rest, stream = PAPER if paper else LIVE
    return Access(
        key=key,
        secret=secret,
        paper=paper,
        base_url=base_url or rest,
        stream_url=stream_url or stream,
        data_url=data_url or DATA,
        data_stream_url=data_stream_url or DATA_STREAM + feed,
        feed=feed,
    )
