"""What a person checks before trusting a configuration with an account, in one table: `ordersmith doctor`.

Nothing that it finds is an exception: each thing looked at is a finding with what was found and what to do. It sends no
order but one far from the market, on a paper account, or on another only if told to, and cancels it.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Iterator, Sequence

from ..actors.errors import ConfigError, DataError, OrdersmithError
from ..adapters.disk_checks import Finding, check_journal_place
from ..config import InvalidSettings, Settings, examine
from .arming import arm
from .live_feed import NO_CALENDAR
from .logs import secrets_of
from .price_source import ALPACA, access_of, require_sdk
from .strategies import load_strategy

MARKS = {True: "✓", None: "!", False: "✗"}


async def findings(
    config: str, overrides: Sequence[str] = (), *, live: str | None = None, place_order: bool = False
) -> AsyncIterator[Finding]:
    """Yield what is found, the configuration first; what rests on something that is wrong is not looked at."""
    settings, problems = examine(config, overrides)
    for problem in problems:
        yield Finding("configuration", False, str(problem), "correct it; `ordersmith check` shows the same")
    if problems:
        return
    execution = settings.execution
    yield Finding("configuration", True, f"mode {execution.mode}, provider {execution.provider}")
    for finding in _local(settings, live):
        yield finding
    for finding in check_journal_place(settings.resolve(settings.journal.path)):
        yield finding
    if execution.mode == "backtest" or ALPACA not in (execution.provider, execution.market_data):
        return
    wrong = list(_keys(settings))
    for finding in wrong:
        yield finding
    if wrong:
        return
    access, symbols, calendar = access_of(settings), settings.data.symbols, settings.data.calendar or NO_CALENDAR
    if execution.provider == ALPACA:
        from ..adapters.alpaca.examination import examine_account

        may_place = execution.mode == "paper" or (place_order and live is not None)
        looking = examine_account(access, symbols=symbols, calendar=calendar, expected=live, may_place=may_place)
    else:
        from ..adapters.alpaca.examination_prices import examine_prices

        looking = examine_prices(access, symbols=symbols, calendar=calendar)
    async for finding in looking:
        yield finding


def _local(settings: Settings, live: str | None) -> Iterator[Finding]:
    execution, strategy = settings.execution, settings.strategy
    if strategy.path is not None:
        try:
            load_strategy(strategy.path, strategy.parameters, settings.base)
        except (ConfigError, DataError) as error:
            yield Finding("strategy", False, str(error), "correct strategy.path or strategy.parameters")
        else:
            yield Finding("strategy", True, strategy.path)
    if execution.mode != "live":
        return
    try:
        armed = arm(settings, live)
    except OrdersmithError as error:
        yield Finding(
            "armed", False if live else None, str(error), "type the account: ordersmith doctor CONFIG --live ACCOUNT"
        )
    else:
        yield Finding("armed", True, f"for {armed.account if armed else live}, as typed")


def _keys(settings: Settings) -> Iterator[Finding]:
    try:
        require_sdk()
    except ConfigError as error:
        yield Finding("alpaca-py", False, str(error), "install it")
    for secret in secrets_of(settings):
        try:
            secret.reveal()
        except InvalidSettings as error:
            yield Finding(
                "keys", False, str(error), "set it where the service starts: the environment, or its unit's file"
            )


def print_findings(config: str, found: Sequence[Finding]) -> None:
    """Print the table, and a line that sums it up."""
    from rich.box import SIMPLE
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE, title=f"ordersmith doctor {config}", title_justify="left")
    for heading in ("", "looked at", "found", "what to do"):
        table.add_column(heading, overflow="fold")
    styles = {True: "green", None: "yellow", False: "red"}
    for finding in found:
        table.add_row(
            Text(MARKS[finding.ok], styles[finding.ok]), finding.name, Text(finding.found), Text(finding.to_do)
        )
    console = Console(width=None if sys.stdout.isatty() else 160, highlight=False)
    console.print(table)
    wrong = sum(finding.ok is False for finding in found)
    notes = sum(finding.ok is None for finding in found)
    console.print(f"{wrong} wrong, {notes} worth knowing, {len(found) - wrong - notes} as they should be")


def say_json(finding: Finding) -> None:
    """Print a finding as one line of JSON."""
    import msgspec

    sys.stdout.write(msgspec.json.encode(finding._asdict()).decode() + "\n")
    sys.stdout.flush()
