"""One run, watched: its progress, Ctrl-C, how it ended, and what it leaves in a folder.

What breaks a run off costs none of its outputs so far.
"""

from __future__ import annotations

import signal
import threading
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, NamedTuple

from ..actors.bars import Bars
from ..actors.errors import ExecutorFailed, StrategyError
from ..actors.strategy import Strategy
from ..config import Settings
from . import outputs, report
from .executor import BacktestExecutor
from .presenting import Track, progress_bar
from .result import BacktestResult
from .strategies import traceback_of

if TYPE_CHECKING:
    from ..adapters.bar_feed import BarFeed

INTERRUPTED = 128 + int(signal.SIGINT)


class Ending(NamedTuple):
    """How a run ended: the exit status, a sentence if it broke off, and the traceback behind that."""

    status: int = 0
    sentence: str = ""
    trace: str = ""


class Ran(NamedTuple):
    """A run that has ended, and the files that it left."""

    result: BacktestResult
    ending: Ending
    written: list[Path]

    @property
    def warnings(self) -> tuple[str, ...]:
        return self.result.summary.warnings


def run_once(settings: Settings, strategy: Strategy, feed: BarFeed, *, out: Path | None, progress: str) -> Ran:
    """Run to the end of the data, or to whatever breaks the run off, and write what came of it. `progress` names its bar, "" is none."""
    interrupt = Interrupt()
    with interrupt, progress_bar(progress) as track:
        executor = BacktestExecutor(settings, strategy=strategy, feed=WatchedFeed(feed, track, interrupt))
        ending = _run(executor)
    result = executor.result()
    if out is None:
        return Ran(result, ending, [])
    written, ending = _write(out, result, ending, journal_kept=settings.journal.keep == "all")
    return Ran(result, ending, written)


def _run(executor: BacktestExecutor) -> Ending:
    """Run to the end of the data, or to whatever breaks the run off."""
    try:
        executor.run()
    except KeyboardInterrupt:
        return Ending(INTERRUPTED, "Interrupted.")
    except StrategyError as error:
        cause = error.__cause__ or error
        return Ending(1, f"The run broke off: {error}: {cause}", traceback_of(cause))
    except ExecutorFailed as error:
        return Ending(1, f"The run broke off: {error}", _whole(error.__cause__))
    except SystemExit as error:
        return Ending(1, f"The run broke off: the strategy called sys.exit({error.code!r})", traceback_of(error))
    except Exception as error:  # noqa: BLE001 - a defect of ours costs the run, and not what it has done
        return Ending(1, f"The run broke off on a defect of Ordersmith: {error!r}", _whole(error))
    return Ending()


def _whole(error: BaseException | None) -> str:
    return "" if error is None else "".join(traceback.format_exception(error)).rstrip()


def _write(out: Path, result: BacktestResult, ending: Ending, *, journal_kept: bool) -> tuple[list[Path], Ending]:
    try:
        return outputs.write(out, result, journal_kept=journal_kept), ending
    except OSError as error:
        sentence, trace = f"{error.filename or out} cannot be written: {error.strerror}", ""
    except Exception as error:  # noqa: BLE001 - a defect of ours costs a file, and not the summary
        sentence, trace = f"a defect of Ordersmith: {error!r}", _whole(error)
    said = " ".join(filter(None, (ending.sentence, f"The outputs are not complete: {sentence}")))
    return [], Ending(ending.status or 1, said, "\n".join(filter(None, (ending.trace, trace))))


def where(out: Path | None, written: Sequence[Path]) -> str:
    """Say where the outputs lie, and why some do not."""
    if out is None:
        return "Orders, fills, equity, journal and report were not written: --out DIR does that."
    names = [file.name for file in written]
    lacking = [name for name in outputs.FILES if name not in names]
    told = [f"Outputs in {out}: {', '.join(names) or 'none'}."]
    if names and (journal := [name for name in lacking if name != report.NAME]):
        told.append(f"Not written: {', '.join(journal)}, since journal.keep is open.")
    if names and report.NAME in lacking:
        told.append(f"Not written: {report.NAME}; {report.HOW_TO_GET_IT}.")
    return " ".join(told)


class Interrupt:
    """Ctrl-C during a run: the first lets the turn end, so that the books are whole, the second stops at once."""

    def __init__(self) -> None:
        self.asked = False
        self._before: Any = None

    def __enter__(self) -> None:
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGINT, self._ask)

    def __exit__(self, *_: object) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self.asked = True
        signal.signal(signal.SIGINT, signal.default_int_handler)


class WatchedFeed:
    """A feed whose steps the progress bar counts, and that raises KeyboardInterrupt between two of them when one was asked for.

    That is for the run; who iterates once more, as the report does, is not watched.
    """

    def __init__(self, feed: BarFeed, track: Track, interrupt: Interrupt) -> None:
        self.symbols = feed.symbols
        self.step_count = feed.step_count
        self.start_ns = feed.start_ns
        self._feed = feed
        self._track = track
        self._interrupt = interrupt
        self._has_run = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._feed, name)  # its warnings, its sessions

    def __iter__(self) -> Iterator[Bars]:
        if self._has_run:
            return iter(self._feed)
        self._has_run = True
        return self._watched()

    def _watched(self) -> Iterator[Bars]:
        interrupt = self._interrupt
        for bars in self._track(iter(self._feed), self.step_count):
            if interrupt.asked:
                raise KeyboardInterrupt
            yield bars
