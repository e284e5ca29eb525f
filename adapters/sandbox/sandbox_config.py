"""What a sandbox is told when it starts."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec

from .alpaca_settings import COMMON, BrokerSettings
from .fault_profile import FaultProfile

HOST = "127.0.0.1"
"""The one address that it binds: orders in a sandbox are nobody else's business."""

Kind = Literal["paper", "live"]
Refused = Literal["429", "1008", "406", "allow"]
Prices = Literal["walk", "none"]

PREFIX = {"paper": "PK", "live": "AK"}
SECRET = "sandbox-secret"  # noqa: S105 (opens nothing but a sandbox on this machine)


class SandboxConfig(msgspec.Struct, frozen=True, kw_only=True):
    """A local Alpaca: its port, its account, its prices, its faults.

    `port` 0 takes a free one. `account` is the file that the account persists in. Prices come from the bars in `data`, a
    file or a folder, at `speed` seconds a second; without it from a seeded walk of `symbols`, or with `prices` "none" only
    from admin requests. `again` plays the data once more when they end.

    `second_connection` is what happens to a second stream of trade updates: the handshake is answered 429, the connection is
    closed with 1008 after it authenticates, or it gets an error 406; `allow` lets any number in. `second_data_connection` is
    the same for market data. A slot stays taken for `slot_held_s` seconds after its connection has ended. `events_first`
    sends the trade updates of a request before its answer, as Alpaca mostly does. `rate_limit` 0 is no limit.

    `free_channels` is how many trades and quotes a subscription to `/v2/iex` may have, as the free plan allows; 0 is no limit.

    `broker` has the ways of the broker itself; what is said here of kind and seed counts for it too.
    """

    port: int = 0
    kind: Kind = "paper"
    secret: str = SECRET
    account: Path | None = None
    data: Path | None = None
    timezone: str = "America/New_York"
    speed: float = 1.0
    again: bool = True
    prices: Prices = "walk"
    symbols: tuple[str, ...] = COMMON
    seed: int = 0
    rate_limit: int = 200
    rate_window_s: float = 60.0
    second_connection: Refused = "429"
    second_data_connection: Refused = "406"
    free_channels: int = 30
    slot_held_s: float = 0.0
    auth_within_s: float = 10.0
    events_first: bool = True
    faults: FaultProfile = FaultProfile()
    broker: BrokerSettings = BrokerSettings(hours="always")

    @property
    def key(self) -> str:
        """A key that is accepted; so is any other that begins alike."""
        return f"{PREFIX[self.kind]}SANDBOX00000000000"


class Addresses(msgspec.Struct, frozen=True, kw_only=True):
    """Where a sandbox is, as `execution.alpaca` has it."""

    base_url: str
    stream_url: str
    data_url: str
    data_stream_url: str


def addresses(port: int, feed: str = "iex") -> Addresses:
    return Addresses(
        base_url=f"http://{HOST}:{port}",
        stream_url=f"ws://{HOST}:{port}/stream",
        data_url=f"http://{HOST}:{port}",
        data_stream_url=f"ws://{HOST}:{port}/v2/{feed}",
    )
