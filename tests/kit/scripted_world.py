"""Alpaca's port with short times, on a scripted Alpaca: its host, its clock, and what outlives a port."""

from __future__ import annotations

from port_host import PortHost
from scripted_alpaca import ScriptedAlpaca

from ordersmith.actors.model import Instrument
from ordersmith.adapters.alpaca.port import AlpacaPort, PortMemory, Surroundings, Timing
from ordersmith.adapters.alpaca.trade_updates import Heartbeat
from ordersmith.adapters.clocks import WallClock

FAST = Timing(
    connect_s=0.5,
    read_s=0.5,
    answer_s=1.5,
    proof_s=0.6,
    ready_s=0.3,
    poll_s=(0.2, 0.4),
    grace_s=0.2,
    silence_s=60.0,
    pause_s=(0.05, 0.2),
    heartbeat=Heartbeat(0.3, 0.3, 1.0),
)
SLOW = FAST._replace(poll_s=(60.0, 60.0))
"""As fast, but polls do not come in between."""


class LateClock(WallClock):
    """The wall clock, and what a test adds to it."""

    added_ns = 0

    def now_ns(self) -> int:
        return super().now_ns() + self.added_ns


class ScriptedWorld:
    """A port's host, and what outlives a port."""

    def __init__(self, alpaca: ScriptedAlpaca, timing: Timing = SLOW, answer_s: float = 5.0) -> None:
        self.memory = PortMemory()
        self.instruments: dict[str, Instrument] = {}
        self.clock = LateClock()
        around = Surroundings(self.instruments.update, answer_s)
        self.host = PortHost(lambda: AlpacaPort(alpaca.access(), self.memory, around, timing), self.clock)


async def ready(host: PortHost) -> str:
    """Connect, read the account once, and return the cursor."""
    await host.connect()
    return (await host.read()).cursor
