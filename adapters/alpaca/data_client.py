"""Alpaca's market data by REST: the SDK's client with what it lacks, time-outs and answers as they came.

The SDK's own client waits for ever, sends again by itself, goes through whatever proxy the environment names, and puts its models
between the wire and us. Here an answer is bytes, decoded by who asked, and every failure is one of three exceptions. All calls
block: they belong into a worker thread.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import msgspec
import requests
from alpaca.data.historical import StockHistoricalDataClient
from requests.adapters import HTTPAdapter

from ...actors.errors import BrokerAuthError, BrokerProtocolError, BrokerUnavailable
from .access import Access
from .transport_words import words_of

T = TypeVar("T")

TIMEOUT_S = (3.05, 10.0)
"""To connect, and between two pieces of an answer."""

ATTEMPTS = 4
"""A question about market data changes nothing, so it may be asked again."""

PAUSES_S = (0.5, 2.0, 5.0)
LONGEST_PAUSE_S = 65.0
"""The limit of requests is by the minute; an answer that asks for a longer pause is not believed."""

NO_SUBSCRIPTION = "subscription does not permit"
"""How Alpaca's 403 begins for data that the plan does not include: docs.alpaca.markets, "Market Data FAQ"."""


class Declined(BrokerUnavailable):
    """Alpaca does not answer this question: a symbol it does not know, a range that it refuses. Asking again does not help."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"Alpaca answered {status}: {text}")
        self.status = status
        self.text = text


class DataClient:
    """Asks Alpaca's data address. Raises BrokerAuthError, Declined, BrokerUnavailable or BrokerProtocolError, and nothing else."""

    def __init__(
        self, access: Access, *, timeout_s: tuple[float, float] = TIMEOUT_S, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._access = access
        self._sleep = sleep
        self._client = _RawClient(access.key.reveal(), access.secret.reveal(), url_override=access.data_url)
        self._client.harden(timeout_s)

    def get(self, path: str, query: Mapping[str, Any], kind: type[T], *, attempts: int = ATTEMPTS) -> T:
        """Ask, again where that may help, and return the answer as a `kind`. Not more than one thread may ask at a time."""
        for attempt in range(attempts):
            last = attempt + 1 == attempts
            try:
                response = self._client.ask(path, dict(query))
            except requests.RequestException as error:
                if last:
                    raise BrokerUnavailable(f"GET {path}: {words_of(error)} from {self._access.data_url}") from None
                self._sleep(_pause(attempt))
                continue
            if response.status_code == 200:
                return _decoded(path, response.content, kind)
            if last or not (response.status_code == 429 or response.status_code >= 500):
                raise self._failure(path, response)
            self._sleep(_pause(attempt, response))
        raise BrokerUnavailable(f"GET {path}: not asked, {attempts} attempts")

    def close(self) -> None:
        """Give the connections back."""
        self._client.close()

    def _failure(self, path: str, response: requests.Response) -> Exception:
        status, text = response.status_code, _text_of(response)
        if status == 403 and NO_SUBSCRIPTION in text:
            return BrokerAuthError(
                f"execution.alpaca.feed: {self._access.feed!r}: Alpaca says {text!r}; use feed: iex, leave out the last"
                " 15 minutes (data.end), or subscribe to the SIP feed"
            )
        if status in {401, 403}:
            return BrokerAuthError(
                f"execution.alpaca.api_key: Alpaca refused the key for market data ({status} {text}); check that key and"
                f" secret belong together and were not reset, and that {self._access.data_url} is their address"
            )
        if 400 <= status < 500 and status != 429:
            return Declined(status, text)
        return BrokerUnavailable(f"GET {path}: Alpaca answered {status}: {text}")


class _RawClient(StockHistoricalDataClient):
    """The SDK's client, whose answers stay bytes."""

    def harden(self, timeout_s: tuple[float, float]) -> None:
        """Do what the constructor of the SDK has no arguments for."""
        self._retry = 0
        self._retry_codes = []
        self._session.trust_env = False  # neither proxies nor .netrc of the environment
        for scheme in ("https://", "http://"):
            self._session.mount(scheme, _TimeoutAdapter(timeout_s))

    def ask(self, path: str, query: dict[str, Any]) -> requests.Response:
        answer: Any = self.get(path, query)
        assert isinstance(answer, requests.Response)
        return answer

    def _one_request(self, method: str, url: str, opts: dict[str, Any], retry: int) -> Any:
        return self._session.request(method, url, **opts)

    def close(self) -> None:
        self._session.close()


class _TimeoutAdapter(HTTPAdapter):
    """Gives every request a time-out, of which the SDK sets none."""

    def __init__(self, timeout_s: tuple[float, float]) -> None:
        self._timeout_s = timeout_s
        super().__init__()

    def send(self, request: Any, *args: Any, **options: Any) -> requests.Response:
        options["timeout"] = options.get("timeout") or self._timeout_s
        return super().send(request, *args, **options)


def _decoded(path: str, body: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.MsgspecError as error:
        raise BrokerProtocolError(f"GET {path}: the answer is not understood: {error}: {body[:200]!r}") from None


def _pause(attempt: int, response: requests.Response | None = None) -> float:
    """Return how many seconds to wait: until the limit is reset, or a little longer each time."""
    pause = PAUSES_S[min(attempt, len(PAUSES_S) - 1)]
    if response is None or response.status_code != 429:
        return pause
    try:
        reset_s = float(response.headers["X-RateLimit-Reset"])
    except (KeyError, ValueError):
        return LONGEST_PAUSE_S if attempt else pause
    return min(max(reset_s - time.time(), pause), LONGEST_PAUSE_S)


def _text_of(response: requests.Response) -> str:
    """Return what an error's body says, a page of a proxy included, in one short line."""
    try:
        said = msgspec.json.decode(response.content)
    except msgspec.DecodeError:
        said = response.text
    if isinstance(said, dict):
        said = said.get("message", said)
    return " ".join(str(said).split())[:200] or response.reason or "no text"
