"""What the exchange knows of sessions: from a calendar where it is given one, else from the bars that it has seen.

Bars tell the session that they belong to and whether they are its last. So without a calendar the exchange knows whether
it is in a session, and not when the next one opens or closes: no cut-off can be kept then.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

from ...actors.model import Order, TimeInForce, as_datetime
from .rules import ExchangeRules, Refusal, RefusalCode, refusal

OPG, CLS = TimeInForce.OPG, TimeInForce.CLS
OF_A_SESSION = (TimeInForce.DAY, OPG, CLS)
BEFORE_ALL = -(1 << 62)


class Session(NamedTuple):
    """The trading date `day` (days since 1970-01-01), open in [open_ns, close_ns)."""

    day: int
    open_ns: int
    close_ns: int


class Sessions(Protocol):
    """A calendar."""

    def at(self, now_ns: int) -> Session | None:
        """Return the session that is open at `now_ns`, else the next one to open; None beyond the calendar's end."""


class Hours:
    """Where in the sessions the exchange is. `opened` is the session of the last regular bars, `closed` that of the last closing ones."""

    __slots__ = ("_cls_cutoff_ns", "_opg_cutoff_ns", "_refuses_outside", "_sessions", "closed", "opened")

    def __init__(self, rules: ExchangeRules, sessions: Sessions | None) -> None:
        self._sessions = sessions
        self._refuses_outside = rules.outside_session == "refuse"
        self._opg_cutoff_ns = rules.opg_cutoff_ns
        self._cls_cutoff_ns = rules.cls_cutoff_ns
        self.opened = BEFORE_ALL
        self.closed = BEFORE_ALL

    def is_outside(self, now_ns: int) -> bool:
        """Tell whether no session is open."""
        if self._sessions is None:
            return self.opened == self.closed
        session = self._sessions.at(now_ns)
        return session is None or now_ns < session.open_ns

    def first_session(self, now_ns: int) -> int:
        """Return the first session whose opening an order that comes now may trade in."""
        session = self._next_to_open(now_ns)
        return self.opened + 1 if session is None else session.day

    def _next_to_open(self, now_ns: int) -> Session | None:
        session = None if self._sessions is None else self._sessions.at(now_ns)
        if session is None or self._sessions is None or now_ns <= session.open_ns:
            return session
        return self._sessions.at(session.close_ns)

    def refusal(self, order: Order, now_ns: int) -> Refusal | None:
        """Return why an order that comes now comes at the wrong time, None where that is as good as any."""
        in_force = order.time_in_force
        if self._refuses_outside and in_force in OF_A_SESSION and not order.extended_hours and self.is_outside(now_ns):
            text = f"time_in_force: no session is open for a {in_force} order; send it while one is, or as GTC"
            return refusal(RefusalCode.OUTSIDE_SESSION, text)
        if self._sessions is None:
            return None
        if in_force is OPG:
            session = self._next_to_open(now_ns)
            if session is not None and session.open_ns - now_ns < self._opg_cutoff_ns:
                return self._past("opg_cutoff", "open", session.open_ns, self._opg_cutoff_ns, now_ns)
        elif in_force is CLS:
            session = self._sessions.at(now_ns)
            if session is not None and session.close_ns - now_ns < self._cls_cutoff_ns:
                return self._past("cls_cutoff", "close", session.close_ns, self._cls_cutoff_ns, now_ns)
        return None

    def _past(self, rule: str, what: str, at_ns: int, cutoff_ns: int, now_ns: int) -> Refusal:
        left, wanted = (at_ns - now_ns) / 1e9, cutoff_ns / 1e9
        text = f"time_in_force: the {what} of {as_datetime(at_ns):%Y-%m-%d %H:%M} UTC is {left:g} s away"
        return refusal(RefusalCode.PAST_CUTOFF, f"{text}, less than {rule} {wanted:g} s")
