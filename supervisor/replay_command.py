"""`ordersmith replay LOG --journal J`: run a recorded session again, and see whether it does the same.

Exit status: 0 for a session that is identical, 1 for one that is not, or whose log or journal was changed, 2 for what is wrong
before (no such file, another journal, another version, no strategy). The result goes to standard output, notes to standard
error.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from ..actors.errors import JournalError
from ..adapters.record_codec import as_json, decode_record
from .journal_commands import as_line, as_time

if TYPE_CHECKING:
    from .replay import Difference, Outcome

SUFFIX = ".inputs-"
SHOWN = 20
"""How many inputs of a tick are printed."""


def add_parser(commands: Any) -> None:
    """Add `replay` to the subparsers of the command line; it sets `run`, from what was chosen to a status."""
    parser = commands.add_parser(
        "replay",
        help="run a recorded session again and compare it with its journal",
        description="Run the session whose inputs are in LOG again (`journal.record: inputs` writes them), with its strategy, and "
        "compare what it records with the journal, byte for byte. Nothing is sent and nothing is changed.",
    )
    parser.add_argument("log", metavar="LOG", type=Path, help="an input log, <journal>.inputs-<boot>")
    parser.add_argument(
        "--journal", metavar="J", type=Path, help="the journal of that session (default: the one beside LOG)"
    )
    parser.add_argument("--json", action="store_true", help="print the result as one JSON object")
    parser.add_argument(
        "--strategy",
        metavar="FILE.py:CLASS",
        help="where the strategy is, if it is not where it was; it gets the parameters that it had",
    )
    parser.add_argument("--any-version", action="store_true", help="also replay what other code than this has recorded")
    parser.set_defaults(run=run)


def run(chosen: argparse.Namespace) -> int:
    """Replay, and print what was found."""
    from .replay import replay  # it needs the whole system, and `--help` does not

    try:
        outcome = replay(
            chosen.log,
            chosen.journal or _beside(chosen.log),
            strategy_path=chosen.strategy,
            any_version=chosen.any_version,
        )
    except JournalError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    if chosen.json:
        sys.stdout.write(_as_object(outcome) + "\n")
    else:
        sys.stderr.writelines(f"note: {note}\n" for note in outcome.notes)
        sys.stdout.write(_as_text(outcome, str(chosen.log)))
    return 0 if outcome.difference is None else 1


def _beside(log: Path) -> Path:
    name, suffix, _ = log.name.rpartition(SUFFIX)
    if not suffix and log.is_file():
        raise JournalError(f"{log}: the name does not say which journal it belongs to; give --journal J")
    return log.with_name(name) if suffix else log


# --- Text --------------------------------------------------------------------------------------------------------------


def _as_text(outcome: Outcome, log: str) -> str:
    counts = f"{outcome.records} records, {outcome.ticks} ticks"
    if outcome.difference is None:
        return f"{log}: identical: {counts}, hash {outcome.trace_hash}\n"
    return f"{log}: not identical, after {counts}\n" + _told(outcome.difference, outcome.boot)


def _told(difference: Difference, boot: int) -> str:
    tick = difference.tick
    lines = [f"record {difference.number} {difference.text}"]
    lines += [
        f"  {name:<8} {_as_line(data)}"
        for name, data in (("journal", difference.journal), ("replay", difference.replay))
    ]
    lines.append(f"in tick {tick.number} of boot {boot}, at {as_time(tick.now_ns)}, which took in")
    lines += [f"  {made}" for made in _inputs_of(difference)]
    return "\n".join(lines) + "\n"


def _as_line(data: bytes | None) -> str:
    if data is None:
        return "none"
    try:
        return as_line(data).strip()
    except msgspec.MsgspecError as error:
        return f"{data.hex()}, which is no record: {error}"


def _inputs_of(difference: Difference) -> list[str]:
    inputs = difference.tick.inputs
    told = [repr(made) for made in inputs[:SHOWN]] or [
        "nothing: a timer was due" if difference.tick.number else "the start"
    ]
    return told if len(inputs) <= SHOWN else [*told, f"and {len(inputs) - SHOWN} more"]


# --- JSON --------------------------------------------------------------------------------------------------------------


def _as_object(outcome: Outcome) -> str:
    difference = outcome.difference
    found = {
        "identical": difference is None,
        "boot": outcome.boot,
        "records": outcome.records,
        "ticks": outcome.ticks,
        "trace_hash": outcome.trace_hash,
        "notes": outcome.notes,
        "difference": None if difference is None else _difference_object(difference),
    }
    return msgspec.json.encode(found).decode()


def _difference_object(difference: Difference) -> dict[str, Any]:
    return {
        "record": difference.number,
        "text": difference.text,
        "journal": _record_object(difference.journal),
        "replay": _record_object(difference.replay),
        "tick": difference.tick.number,
        "at_ns": difference.tick.now_ns,
        "inputs": [repr(made) for made in difference.tick.inputs],
    }


def _record_object(data: bytes | None) -> msgspec.Raw | str | None:
    try:
        return None if data is None else msgspec.Raw(as_json(decode_record(data)))
    except msgspec.MsgspecError:
        return data.hex() if data else ""
