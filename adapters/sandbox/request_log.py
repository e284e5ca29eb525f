"""Every request that the sandbox has seen, and what was done with it: what tests assert on.

A request is in the log before anything is done, so that one that hangs, or was cut off, is there too.
"""

from __future__ import annotations

from collections import deque
from typing import Any

import msgspec

from .stamps import rfc3339

KEPT = 200_000


class Entry(msgspec.Struct, kw_only=True):
    """A request. `acted` says whether the broker did it: "yes", "no", "late" while it will, "refused" for an answer of 4xx.

    `status` is the answer that was sent, None for none.
    """

    number: int
    at: str
    method: str
    path: str
    query: dict[str, str]
    client_order_id: str | None = None
    order_id: str | None = None
    body: Any = None
    acted: str = "no"
    status: int | None = None
    code: int | None = None
    fault: str | None = None


class RequestLog:
    """The newest requests in the order in which they came."""

    def __init__(self) -> None:
        self._entries: deque[Entry] = deque(maxlen=KEPT)
        self._count = 0

    def begin(self, now_ns: int, method: str, path: str, query: dict[str, str], body: Any) -> Entry:
        self._count += 1
        named = body.get("client_order_id") if isinstance(body, dict) else query.get("client_order_id")
        entry = Entry(
            number=self._count,
            at=rfc3339(now_ns),
            method=method,
            path=path,
            query=query,
            client_order_id=named,
            body=body,
        )
        self._entries.append(entry)
        return entry

    def entries(
        self, *, methods: tuple[str, ...] = (), path: str = "", client_order_id: str | None = None, after: int = 0
    ) -> list[Entry]:
        """Return those with one of the methods, whose path begins so, about this order, after this number."""
        return [
            entry
            for entry in self._entries
            if entry.number > after
            and (not methods or entry.method in methods)
            and entry.path.startswith(path)
            and client_order_id in (None, entry.client_order_id)
        ]

    def clear(self) -> None:
        """Forget what was seen; numbers go on."""
        self._entries.clear()
