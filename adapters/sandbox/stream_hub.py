"""The connections of one stream: who may connect, and which of them a fault befalls."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import msgspec
from aiohttp import web

from .fault_book import FaultBook, Standing
from .fault_kinds import Stream
from .sandbox_config import PREFIX, Refused, SandboxConfig
from .stamps import now_ns
from .stream_link import Link, Payload


class StreamHub:
    """What trade updates and market data have in common: slots, keys, faults of connections."""

    stream: Stream

    def __init__(self, config: SandboxConfig, faults: FaultBook, second: Refused) -> None:
        self.config = config
        self.faults = faults
        self._second = second
        self._slot_free_at = 0.0
        self._numbers = 0
        self.links: list[Link] = []
        self.refused = 0

    # --- Connections -------------------------------------------------------------------------------------------------------

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Take a connection and stay with it until it ends."""
        struck = self.faults.at_connect(now_ns(), self.stream)
        refusal = self._refusal("" if struck is None else struck.name.removeprefix("data_"))
        if refusal == "429":
            self.refused += 1
            return web.Response(status=429, text="too many requests")
        self._numbers += 1
        link = Link(request, self._numbers)
        response = await link.open()
        if not refusal:
            self.links.append(link)
        timer = asyncio.get_running_loop().call_later(self.config.auth_within_s, self._late, link)
        try:
            self.greet(link)
            async for payload in link.messages():
                self.hear(link, payload, refusal)
        finally:
            timer.cancel()
            self._leave(link)
            await link.end()
        return response

    def _refusal(self, fault: str) -> str:
        """Return how a connection is refused that is being made; empty for one that is welcome."""
        if fault == "unauthorized":
            return fault
        loop = asyncio.get_running_loop()
        taken = bool(self.links) or loop.time() < self._slot_free_at
        mode = self._second
        if fault == "refuse_second":
            return "429" if mode == "allow" else mode
        return mode if taken and mode != "allow" else ""

    def _leave(self, link: Link) -> None:
        if link in self.links:
            self.links.remove(link)
            self._slot_free_at = asyncio.get_running_loop().time() + self.config.slot_held_s

    def _late(self, link: Link) -> None:
        if not link.known:
            self.too_late(link)

    def accepts(self, key: Any, secret: Any) -> bool:
        """Whether these are the keys: of the sandbox's kind, with its secret."""
        return isinstance(key, str) and key.startswith(PREFIX[self.config.kind]) and secret == self.config.secret

    def made_ready(self, link: Link) -> None:
        """Count a connection as one that is in use; it may be one that a fault waits for."""
        link.ready = True
        for struck in self.faults.waiting_for_link(now_ns(), self.stream):
            link.befall(struck.name, struck.seconds)

    async def flush(self) -> None:
        for link in self.links:
            await link.flush()

    async def stop(self) -> None:
        """Close what is open, as a server that goes away does."""
        for link in self.links:
            link.recover()
            link.close(1001, "going away")
        for _ in range(100):
            if not self.links:
                return
            await asyncio.sleep(0.01)
        for link in self.links:
            link.cut()

    # --- Faults ------------------------------------------------------------------------------------------------------------

    def befall(self, standing: Standing) -> None:
        """Let a fault befall the connections that are in use now, as often as it may strike."""
        for link in self.ready:
            if standing.spent:
                return
            self.faults.note(standing)
            link.befall(standing.name, standing.seconds)

    def recover(self) -> None:
        for link in self.links:
            link.recover()

    @property
    def ready(self) -> list[Link]:
        return [link for link in self.links if link.ready]

    def told(self) -> Iterator[dict[str, Any]]:
        """Yield what there is to say of each connection."""
        for link in self.links:
            yield {
                "number": link.number,
                "authenticated": link.known,
                "listening": link.ready,
                "mute": link.silent,
                "half_open": link.deaf,
                "sent": link.sent,
                "streams": {name: sorted(symbols) for name, symbols in link.streams.items()},
            }

    # --- What each stream does in its own way ------------------------------------------------------------------------------

    def greet(self, link: Link) -> None:
        """Say what a new connection is told."""

    def hear(self, link: Link, payload: Payload, refusal: str) -> None:
        """Obey what a client says. `refusal` is how this connection is to be refused, empty for one that is welcome."""
        raise NotImplementedError

    def tell_raw(self, message: Any) -> None:
        """Send whatever somebody wants to see sent to all who are ready."""
        raise NotImplementedError

    def too_late(self, link: Link) -> None:
        """End a connection that has not authenticated in time."""
        link.close(1008, "auth timeout")


def decoded(payload: Payload, *, packed: bool) -> Any:
    """Read JSON or MessagePack. Raises msgspec.DecodeError."""
    if packed and isinstance(payload, bytes):
        return msgspec.msgpack.decode(payload)
    return msgspec.json.decode(payload)
