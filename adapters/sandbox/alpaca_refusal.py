"""What the broker answers to a request that it does not grant: an HTTP status, Alpaca's code, and a text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

FORBIDDEN = 40310000
"""Not with this account, now: buying power, held quantity, wash trades. Sent with 403."""

UNPROCESSABLE = 42210000
"""The order is not possible, or no longer. Sent with 422."""

MALFORMED = 40010001
"""A field that cannot be read, or a client order id that was used. Sent with 422, as Alpaca does, or with 400."""

ABSENT = 40410000
"""No such order, position, or asset. Sent with 404."""


class Refusal(Exception):
    """A request that is not granted. `body` is what goes over the wire; a code of None is left out of it."""

    def __init__(self, status: int, code: int | None, message: str, extra: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.extra = dict(extra or {})

    @property
    def body(self) -> dict[str, Any]:
        """The JSON body of the answer."""
        code = {} if self.code is None else {"code": self.code}
        return {**code, "message": self.message, **self.extra}


def forbidden(message: str, **extra: Any) -> Refusal:
    """Return the refusal of something that the account may not do."""
    return Refusal(403, FORBIDDEN, message, extra)


def unprocessable(message: str, **extra: Any) -> Refusal:
    """Return the refusal of an order, or of a change of one, that cannot be."""
    return Refusal(422, UNPROCESSABLE, message, extra)


def malformed(message: str) -> Refusal:
    """Return the refusal of a field that is missing, unreadable, or taken."""
    return Refusal(422, MALFORMED, message)


def absent(message: str) -> Refusal:
    """Return the answer to who asks for what is not there."""
    return Refusal(404, ABSENT, message)
