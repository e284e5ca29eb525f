"""Alpaca's SDK as an order may be trusted to it: no second send, time-outs, and the moment of the write in our hands.

The SDK sends an order again by itself when it is answered 504, waits for ever, and has no setting for either. Here a request is sent
once. Whether it was written is known and not guessed: `Passage.open` is called when the connection stands and nothing of the request is
written yet. A connection that was idle is not used again: the other side may be about to close it, and an order sent into that has an
unknown outcome for nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextvars import ContextVar
from threading import Lock
from typing import Any

import requests
from alpaca.trading.client import TradingClient
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, PoolManager

from .access import Access
from .answers import Answer, Outcome, Unanswered, Unsent
from .transport_words import words_of

TIMEOUT_S = (3.05, 10.0)
"""To connect, and between two pieces of an answer."""

IDLE_S = 20.0
CONNECTIONS = 16


class Withheld(Exception):
    """A request must not be written any more."""


class Passage:
    """The point that a request passes, once, immediately before it is written.

    `objection` says why it must not be written, None if it may. It is called in the thread that writes.
    """

    def __init__(self, objection: Callable[[], str | None] | None = None) -> None:
        self.is_passed = False
        self._objection = objection
        self._withdrawn: str | None = None
        self._lock = Lock()

    def open(self) -> None:
        """Pass, or raise Withheld."""
        with self._lock:
            why = self._withdrawn
            if why is None and self._objection is not None:
                why = self._objection()
            if why is not None:
                raise Withheld(why)
            self.is_passed = True

    def withdraw(self, reason: str) -> bool:
        """Let nothing pass from now on; return whether nothing has passed before."""
        with self._lock:
            self._withdrawn = reason
            return not self.is_passed


_PASSAGE: ContextVar[Passage | None] = ContextVar("alpaca_passage", default=None)


class TradingRest:
    """One of Alpaca's trading clients, hardened. All calls block: they belong into worker threads, and several may ask at once."""

    def __init__(self, access: Access, timeout_s: tuple[float, float] = TIMEOUT_S, idle_s: float = IDLE_S) -> None:
        key, secret = access.key.reveal(), access.secret.reveal()
        self._client = _RawClient(key, secret, paper=access.paper, raw_data=True, url_override=access.base_url)
        self._client.harden(timeout_s, idle_s)

    def ask(self, method: str, path: str, data: Any = None, passage: Passage | None = None) -> Outcome:
        """Send one request, once, and return what came of it."""
        passage = passage or Passage()
        token = _PASSAGE.set(passage)
        try:
            return _answer(self._client.ask(method, path, data))
        except Withheld as withheld:
            return Unsent(str(withheld))
        except (requests.RequestException, OSError, RuntimeError, ValueError) as error:
            reason = f"{method} {path}: {words_of(error)}"
            return Unanswered(reason) if passage.is_passed else Unsent(reason)
        finally:
            _PASSAGE.reset(token)

    def close(self) -> None:
        """Give the connections back."""
        self._client.close()


class _RawClient(TradingClient):
    """The SDK's client, whose answers stay as they came."""

    def harden(self, timeout_s: tuple[float, float], idle_s: float) -> None:
        """Do what the constructor of the SDK has no arguments for."""
        self._retry = 0
        self._retry_codes = []
        self._session.trust_env = False  # neither proxies nor .netrc of the environment
        for scheme in ("https://", "http://"):
            self._session.mount(scheme, _Adapter(timeout_s, idle_s))

    def ask(self, method: str, path: str, data: Any) -> requests.Response:
        answer: Any = self._request(method, path, data)
        assert isinstance(answer, requests.Response)
        return answer

    def _one_request(self, method: str, url: str, opts: dict[str, Any], retry: int) -> Any:
        return self._session.request(method, url, **opts)

    def close(self) -> None:
        self._session.close()


class _Adapter(HTTPAdapter):
    """Gives every request a time-out, of which the SDK sets none, and connections that know how old they are."""

    def __init__(self, timeout_s: tuple[float, float], idle_s: float) -> None:
        self._timeout_s = timeout_s
        self._idle_s = idle_s
        super().__init__(pool_maxsize=CONNECTIONS, max_retries=0)

    def init_poolmanager(self, connections: int, maxsize: int, block: bool = False, **options: Any) -> None:
        super().init_poolmanager(connections, maxsize, block, **options)
        manager: PoolManager = self.poolmanager
        pools = {"http": _HttpPool, "https": _HttpsPool}
        idle_s = {"idle_s": self._idle_s}
        manager.pool_classes_by_scheme = {name: type(pool.__name__, (pool,), idle_s) for name, pool in pools.items()}

    def send(self, request: Any, *args: Any, **options: Any) -> requests.Response:
        options["timeout"] = options.get("timeout") or self._timeout_s
        return super().send(request, *args, **options)


class _FreshConnections:
    """Part of a pool: an idle connection is closed before its next use, and the passage stands between connecting and writing."""

    idle_s = IDLE_S

    def _get_conn(self, timeout: float | None = None) -> Any:
        connection: Any = super()._get_conn(timeout)  # type: ignore[misc]
        if time.monotonic() - getattr(connection, "used_s", 0.0) > self.idle_s:
            connection.close()
        return connection

    def _put_conn(self, connection: Any) -> None:
        if connection is not None:
            connection.used_s = time.monotonic()
        super()._put_conn(connection)  # type: ignore[misc]

    def _validate_conn(self, connection: Any) -> None:
        super()._validate_conn(connection)  # type: ignore[misc]
        connection.set_debuglevel(0)  # which would print the key
        if connection.is_closed:
            connection.connect()
        passage = _PASSAGE.get()
        if passage is not None:
            passage.open()


class _HttpPool(_FreshConnections, HTTPConnectionPool):
    pass


class _HttpsPool(_FreshConnections, HTTPSConnectionPool):
    pass


def _answer(response: requests.Response) -> Answer:
    headers = response.headers
    return Answer(
        response.status_code,
        response.content,
        _whole(headers.get("X-RateLimit-Limit")),
        _whole(headers.get("X-RateLimit-Remaining")),
        _whole(headers.get("X-RateLimit-Reset")),
    )


def _whole(text: str | None) -> int | None:
    return int(text) if text is not None and text.isdecimal() else None
