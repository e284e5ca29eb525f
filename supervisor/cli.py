"""The command line: what may be said, and which module obeys it.

Exit status: 0 for a run that finished or a configuration without a fault, 1 for a run that broke off, 2 for what is
wrong before a run begins (usage, configuration, strategy, data), 130 for Ctrl-C; a service has more. Results go to standard output,
everything else to standard error.

This file only reads the words; `commands.py` obeys them and is imported when there is something to obey: `--help` is to
answer at once.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ..actors.errors import ConfigError, DataError

DESCRIPTION = """\
Execution layer of an algorithmic trading system: target positions become orders,
and every order is looked after until it is finished.
"""

EXAMPLES = """\
examples:
  ordersmith check examples/rebalance.yaml
  ordersmith backtest examples/rebalance.yaml --out out/demo
  ordersmith backtest examples/rebalance.yaml --set execution.backtest.slippage=0.002 --set data.end=2008-12-31
  ordersmith backtest examples/rebalance.yaml --json
  ordersmith backtest examples/rebalance.yaml --paths
  ordersmith run examples/paper.yaml
  ordersmith status examples/paper.yaml

CONFIG is a YAML file; examples/all-settings.yaml has every key with its default.
"""


WITH_CONFIG = ("backtest", "check")

AddParser = Callable[[Any], None]
"""Adds a command to the subparsers; the parser it adds sets `run`, from what was chosen to an exit status."""


def main(arguments: Sequence[str] | None = None, version: str = "", more: Sequence[AddParser] = ()) -> int:
    """Run a command and return its exit status. `more` are commands of floors that this one does not know."""
    parser = _parser(version, more)
    chosen = parser.parse_args(arguments)
    if chosen.command in WITH_CONFIG and chosen.config is None:
        chosen.config = _config_among(chosen.set)
        if chosen.config is None:
            chosen.parser.error("CONFIG is missing: the path of a YAML file")
    try:
        status = _run(chosen)
        sys.stdout.flush()
    except (ConfigError, DataError) as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # Who read our output has seen enough, as `head` does. Python would complain once more when it flushes at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return status


def _run(chosen: argparse.Namespace) -> int:
    if chosen.command not in WITH_CONFIG:
        status: int = chosen.run(chosen)
        return status
    from .commands import backtest, check, compare_paths

    if chosen.command == "check":
        return check(chosen.config, chosen.set)
    overrides = chosen.set if chosen.seed is None else [*chosen.set, f"seed={chosen.seed}"]
    run = compare_paths if chosen.paths else backtest
    return run(chosen.config, overrides, out=chosen.out, as_json=chosen.json)


def _parser(version: str, more: Sequence[AddParser]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="ordersmith",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"ordersmith {version}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)

    backtest = commands.add_parser(
        "backtest",
        help="trade a strategy through past prices and sum up what came of it",
        description="Trade a strategy through past prices and sum up what came of it. The mode that CONFIG names is set aside.",
    )
    _add_config(backtest, "[--json] [--out DIR] [--paths] [--set PATH=VALUE ...] [--seed N]")
    backtest.add_argument("--json", action="store_true", help="print the summary as one JSON object")
    backtest.add_argument(
        "--out",
        metavar="DIR",
        type=Path,
        help="write orders.csv, fills.csv, equity.csv, journal.jsonl and report.html there, over those of an earlier run",
    )
    backtest.add_argument(
        "--paths",
        action="store_true",
        help="run three times, with execution.backtest.path pessimistic, adaptive and optimistic, and show what depends on it; "
        "with --out each run has a folder in DIR",
    )
    backtest.add_argument("--seed", metavar="N", help="every random choice follows from it; the same as --set seed=N")

    check = commands.add_parser(
        "check",
        help="say what would run, or everything that is wrong",
        description="Say what would run, or everything that is wrong: with the configuration, the strategy and the data.",
    )
    _add_config(check, "[--set PATH=VALUE ...]")

    from ..adapters.sandbox import command as sandbox_command
    from . import control_commands, doctor_command, journal_commands, replay_command, run_command

    run_command.add_parser(commands, version)
    doctor_command.add_parser(commands)
    control_commands.add_parsers(commands)
    journal_commands.add_parser(commands)
    replay_command.add_parser(commands)
    sandbox_command.add_parser(commands)
    for add_parser in more:
        add_parser(commands)
    return parser


def _add_config(parser: argparse.ArgumentParser, options: str) -> None:
    parser.usage = f"%(prog)s CONFIG {options}"
    parser.set_defaults(parser=parser)
    parser.add_argument("config", metavar="CONFIG", nargs="?", help="YAML file with the settings")
    parser.add_argument(
        "--set",
        metavar="PATH=VALUE",
        nargs="+",
        action="extend",
        default=[],
        help="override settings, as execution.backtest.slippage=0.001; may be repeated",
    )


def _config_among(overrides: list[str]) -> str | None:
    """Take CONFIG out of the overrides where it follows them: `--set a=1 b=2 CONFIG`."""
    others = [text for text in overrides if "=" not in text]
    if len(others) != 1:
        return None
    overrides.remove(others[0])
    return others[0]
