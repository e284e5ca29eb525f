"""`ordersmith run CONFIG`: find what is named, refuse what is wrong before anything is opened, then be a service."""

from __future__ import annotations

import argparse
import gc
import io
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..actors.errors import ConfigError

if TYPE_CHECKING:
    from ..actors.strategy import Strategy
    from ..adapters.bar_feed import BarFeed
    from ..config import Settings
    from .price_source import LivePrices
    from .service import Ending

EXIT_STATUSES = """\
exit status:
  0    stopped as asked, or the data are over
  1    trading failed: the supervision tree gave up, or a defect of Ordersmith
  2    wrong usage, configuration, strategy, data or keys, or live trading that is not armed for the broker's account
  3    the journal, or the paper broker's books, cannot be opened or trusted; another process may have them
  4    stopped, but what service.on_stop wanted gone is still there, or service.stop_within was over
  130  broken off by a second Ctrl-C (143: by a second SIGTERM); the next start goes on from the journal

signals:
  SIGTERM, SIGINT  stop in order: strategies, then service.on_stop, then the rest; a second one breaks that off
  SIGHUP           read the limits again: tighter ones hold at once, looser ones from the next start
"""


def add_parser(commands: Any, version: str) -> None:
    """Add `run` to the subparsers of the command line; it sets `run`, from what was chosen to an exit status."""
    parser = commands.add_parser(
        "run",
        help="trade on paper or live until told to stop",
        description="Trade on paper or live until told to stop, or until the data of a paper run are over. The log goes to "
        "standard error, a line that sums up to standard output.",
        epilog=EXIT_STATUSES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("config", metavar="CONFIG", help="YAML file with the settings")
    parser.add_argument("--live", metavar="ACCOUNT", help="the account's id: without it nothing is sent for real money")
    parser.add_argument(
        "--set",
        metavar="PATH=VALUE",
        action="append",
        default=[],
        help="override a setting, as service.on_stop=cancel; may be repeated",
    )
    parser.add_argument("--keep-running", action="store_true", help="stay when the data of a paper run are over")
    parser.add_argument("--backend", choices=("asyncio", "trio"), default="asyncio", help=argparse.SUPPRESS)
    parser.set_defaults(run=partial(run, version=version))


def run(chosen: argparse.Namespace, version: str) -> int:
    """Be a service and return the exit status. Raises ConfigError or DataError for what is wrong before that."""
    import anyio
    import structlog

    from .logs import service_logging
    from .presenting import shortened
    from .service import Service

    settings, strategy, feed = found(chosen.config, chosen.set, chosen.live)
    gc.freeze()  # a full pass of the collector need not look at what was imported: with many open orders it takes long enough
    again = partial(read_settings, chosen.config, chosen.set)

    async def serve() -> tuple[Ending, str]:
        service = Service(
            settings, feed, strategy, again, live=chosen.live, version=version, keep_running=chosen.keep_running
        )
        return await service.run(), service.summary

    with service_logging(settings):
        log = structlog.get_logger("ordersmith.service")
        for line in shortened(feed.warnings):
            log.warning("data.warned", text=line)
        with redirect_stdout(Printed(log)):
            ending, summary = anyio.run(serve, backend=chosen.backend)
    if summary:
        sys.stdout.write(f"{Path(chosen.config).name}: {ending.text}; {summary}\n")
    return ending.status


class Printed(io.TextIOBase):
    """Standard output while a service runs: what a strategy prints becomes lines of the log."""

    def __init__(self, log: Any) -> None:
        self._log = log
        self._line = ""

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        *lines, self._line = (self._line + text).split("\n")
        for line in lines:
            self._log.info("output.printed", text=line)
        return len(text)


def read_settings(config: str, overrides: Sequence[str]) -> Settings:
    """Read a configuration. Raises ConfigError with everything that is wrong."""
    from ..config import examine

    settings, problems = examine(config, overrides)
    if problems:
        raise ConfigError("\n".join(map(str, problems)))
    return settings


def found(config: str, overrides: Sequence[str], live: str | None) -> tuple[Settings, Strategy, BarFeed | LivePrices]:
    """Return what a run needs, or raise ConfigError with everything that is wrong or missing."""
    from .arming import arm
    from .commands import find
    from .run_needs import missing_for_run

    settings = read_settings(config, overrides)
    problems = missing_for_run(settings)
    try:
        arm(settings, live)
    except ConfigError as error:
        problems.insert(0, str(error))
    if problems:
        raise ConfigError("\n".join(f"{config}: {problem}" for problem in problems))
    named = find(settings, ())
    if named.problems or named.strategy is None or named.feed is None:
        raise ConfigError("\n".join(named.problems))
    return settings, named.strategy, named.feed
