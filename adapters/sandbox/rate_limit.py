"""Alpaca's limit of requests a minute for each key, with the headers that tell a client where it stands.

docs.alpaca.markets, "Usage Limits": 200 a minute a key, answered 429 above it; X-RateLimit-Limit, -Remaining and -Reset come with
every answer. Trading and market data are counted apart, as they are different hosts at Alpaca.
"""

from __future__ import annotations

from typing import NamedTuple

NS = 1_000_000_000


class Standing(NamedTuple):
    """What a request is told: whether it passes, and the headers."""

    passes: bool
    limit: int
    remaining: int
    reset_s: int

    def headers(self) -> dict[str, str]:
        return {
            "X-RateLimit-Limit": str(self.limit),
            "X-RateLimit-Remaining": str(self.remaining),
            "X-RateLimit-Reset": str(self.reset_s),
        }


class RateLimit:
    """Counts requests in windows that begin with the first request after the one before has ended."""

    def __init__(self, limit: int, window_s: float = 60.0) -> None:
        self.limit = limit
        self.window_ns = int(window_s * NS)
        self._windows: dict[str, tuple[int, int]] = {}

    def take(self, key: str, now_ns: int) -> Standing:
        """Count a request of a key. A limit of 0 lets everything pass."""
        start, used = self._windows.get(key, (now_ns, 0))
        if now_ns >= start + self.window_ns:
            start, used = now_ns, 0
        if self.limit == 0:
            return Standing(True, 1_000_000, 1_000_000, self._reset_s(start))
        used += 1
        self._windows[key] = (start, used)
        return Standing(used <= self.limit, self.limit, max(self.limit - used, 0), self._reset_s(start))

    def _reset_s(self, start: int) -> int:
        """Return the second at which the window has ended, rounded up: who waits until then may send."""
        return -(-(start + self.window_ns) // NS)
