"""The settings of paper and live trading: the local paper broker, the journal, the service, the watchdog.

A backtest uses none of them but `journal.keep`.
"""

from __future__ import annotations

from decimal import Decimal

from .kinds import Count, FilePath, Keep, LogForm, LogLevel, OnStop, Recording, Seconds, Section, Speed


class PaperSettings(Section, frozen=True, kw_only=True):
    """`execution.paper`: the local paper broker, of mode `paper` with provider `simulated`.

    Its exchange, its costs and its account at the start are those of `execution.backtest`.
    """

    speed: Speed = Decimal(1)
    """How many seconds of the data pass in one second; `max`: the next bar comes as soon as all is done with the one before."""
    file: FilePath = "paper.db"
    """Where the broker keeps its account, and how far the data are played; relative to the configuration's folder."""


class JournalSettings(Section, frozen=True, kw_only=True):
    """`journal`: what is remembered."""

    keep: Keep = "all"
    """Whether a backtest keeps the records of closed orders in memory (`all`) or only those of open ones (`open`).

    With `open`, memory does not grow with the run; an order that has left it is then not known any more, nor its id.
    In paper and live mode closed orders are in the file.
    """
    path: FilePath = "journal.db"
    """The journal of paper and live trading, one for each instance; relative to the configuration's folder."""
    record: Recording = "none"
    """`inputs`: all that comes from outside is written too, beside the journal, so that a session can be replayed."""
    snapshot_every: Count = 10000
    """Records from one snapshot to the next; a start folds only those after the last one."""


class ServiceSettings(Section, frozen=True, kw_only=True):
    """`service`: `ordersmith run`."""

    on_stop: OnStop = "leave"
    """What a stop does with open orders: `leave` them at the broker, `cancel` them, or `flatten`: cancel, and close the positions."""
    stop_within: Seconds = Decimal(20)
    """Seconds that a stop may take; then the process ends as it is, and the next start goes on from the journal."""
    log: LogForm = "auto"
    """Form of the log on standard error: `console` for a person, `json` lines for a machine; `auto`: console on a terminal."""
    log_level: LogLevel = "info"
    """The least that is logged."""
    control: bool = True
    """Whether `ordersmith halt`, `resume`, `resolve` and `status` reach the service, by a socket beside the journal."""


class WatchdogSettings(Section, frozen=True, kw_only=True):
    """`watchdog`: how slow the process itself may be."""

    slow_handler: Seconds = Decimal("0.05")
    """Seconds of one handler that are worth a warning."""
    loop_lag: Seconds = Decimal("0.25")
    """Seconds that the event loop may come late before there is a warning …"""
    reconnect_after: Seconds = Decimal(5)
    """… and before the broker's session counts as lost: what it said meanwhile was missed; not below `loop_lag`."""
