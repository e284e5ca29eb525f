"""Exceptions, named after what the caller can do about them.

    OrdersmithError
    ├── ConfigError                 the configuration is wrong: correct it
    ├── DataError                   market data is unusable: correct the file, or skip bad rows
    ├── OrderCommandError           the command is wrong: unknown order, an id reused with other terms
    ├── UsageError                  the program does what an executor does not allow: correct the program
    │   └── ExecutorClosed          the executor was left: open another
    ├── DataEnded                   a simulated program still waited when its data were over; `result` has the run
    ├── Overloaded                  too many requests are open: ask again later
    ├── BrokerError
    │   ├── BrokerUnavailable       try again later
    │   ├── BrokerAuthError         a person must act
    │   └── BrokerProtocolError     the broker said what it must not say: quarantine and reconcile
    ├── TradingHalted               trading is halted: find out why, then resume
    ├── JournalError                the journal cannot be trusted or written
    ├── StrategyError               the hosted strategy raised; its own exception is the cause
    └── ActorError                  a defect in the actor system or in an actor
        └── ExecutorFailed          the supervision tree gave up; causes are chained

A denied or rejected order is not an exception: it is a state with a reason.
"""

from __future__ import annotations

from typing import Any


class OrdersmithError(Exception):
    """Base of all errors that Ordersmith raises on purpose."""


class ConfigError(OrdersmithError):
    """The configuration is wrong; the message lists every problem with its path, its value and what is accepted."""


class DataError(OrdersmithError):
    """Market data is unusable; the message names file, row and reason."""


class OrderCommandError(OrdersmithError):
    """A command that cannot be obeyed as given; it changed nothing. The message names what was taken of the same batch."""


class UsageError(OrdersmithError):
    """The program uses an executor as it cannot be used; nothing was changed."""


class ExecutorClosed(UsageError):
    """The executor was left: it answers nothing any more, only `result()` stays."""


class DataEnded(OrdersmithError):
    """A simulated program still waited when its data were over; it was cancelled. `result` is what was done until then."""

    def __init__(self, text: str, result: Any) -> None:
        super().__init__(text)
        self.result = result


class Overloaded(OrdersmithError):
    """More requests are open than the configured bound; nothing was changed."""


class BrokerError(OrdersmithError):
    """The broker is wrong or away."""


class BrokerUnavailable(BrokerError):
    """The broker cannot be reached; trying again later may help."""


class BrokerAuthError(BrokerError):
    """The broker refused the credentials; a person must act."""


class BrokerProtocolError(BrokerError):
    """The broker said something that contradicts what it said before."""


class TradingHalted(OrdersmithError):
    """Trading is halted; the message says by whom and why."""


class JournalError(OrdersmithError):
    """The journal cannot be read, written or trusted."""


class StrategyError(OrdersmithError):
    """The hosted strategy raised.

    `__cause__` is its exception, and the message says in which method and on which bar.
    """


class ActorError(OrdersmithError):
    """A defect in the actor system or in an actor."""


class ExecutorFailed(ActorError):
    """The supervision tree gave up and trading was halted."""
