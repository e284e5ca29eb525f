"""`ordersmith journal verify | show | export FILE`: what a person asks of a journal, also while it is being written.

All three only read. Results go to standard output, everything else to standard error. Exit status: 0 for a journal that is as
it was written, 1 for one that is not, 2 for one that cannot be read at all.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

import msgspec

from ..actors.errors import JournalError
from ..adapters.journal_format import Head, Row
from ..adapters.journal_problems import JournalFault, JournalProblem
from ..adapters.journal_reader import JournalReader
from ..adapters.record_codec import as_json, decode_record

POLL_S = 0.2
FRAME_ROWS = 50_000
SECOND_NS = 1_000_000_000

Out = Callable[[str], object]


def add_parser(commands: Any) -> None:
    """Add `journal` and its actions to the subparsers of the command line; each sets `run`, from what was chosen to a status."""
    journal = commands.add_parser(
        "journal",
        help="verify, show or export a journal",
        description="Look into a journal, also while it is being written. Nothing is changed.",
    )
    actions = journal.add_subparsers(dest="action", metavar="ACTION", required=True)

    action = _add_action(actions, "verify", verify, "prove that nobody has changed it since it was written")
    action.add_argument(
        "--head",
        metavar="NUMBER:LINK",
        type=parse_head,
        help="a head that was noted before: also prove that no end was cut off",
    )
    action = _add_action(actions, "show", show, "print its records, one a line")
    action.add_argument("--follow", action="store_true", help="go on as more are written, until Ctrl-C")
    _add_choice(action)
    action = _add_action(actions, "export", export, "write its records as JSON lines or Parquet")
    action.add_argument(
        "--out", metavar="PATH", type=Path, help="*.jsonl or *.parquet (default: JSON lines on standard output)"
    )
    _add_choice(action)


def _add_action(actions: Any, name: str, run: Callable[[argparse.Namespace], int], text: str) -> Any:
    action = actions.add_parser(name, help=text, description=f"Journal FILE: {text}.")
    action.add_argument("file", metavar="FILE", type=Path, help="a journal")
    action.set_defaults(run=lambda chosen: _reported(run, chosen))
    return action


def _add_choice(action: Any) -> None:
    action.add_argument("--after", metavar="N", type=int, default=0, help="only records numbered above N")
    action.add_argument("--order", metavar="ID", help="only the events of this order")
    action.add_argument("--type", metavar="EVENT", action="append", help="only events of this type; may be repeated")


def _reported(run: Callable[[argparse.Namespace], int], chosen: argparse.Namespace) -> int:
    """Run an action; what is wrong with the journal is one line on standard error."""
    try:
        return run(chosen)
    except JournalError as error:
        sys.stderr.write(f"{error}\n")
        readable = isinstance(error, JournalFault) and error.problem in (JournalProblem.EDITED, JournalProblem.CORRUPT)
        return 1 if readable else 2


def parse_head(text: str) -> Head:
    """Take a head as `verify` prints it."""
    number, _, link = text.partition(":")
    try:
        return Head(int(number), bytes.fromhex(link))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no head: NUMBER:LINK, as `journal verify` prints it") from None


# --- verify ----------------------------------------------------------------------------------------------------------


def verify(chosen: argparse.Namespace) -> int:
    """Check all of a journal; say how far it is whole, and what the first bad group is."""
    with JournalReader(chosen.file) as reader:
        verdict = reader.verify()
        cut = chosen.head is not None and not reader.has(chosen.head)
    number, groups, boots = verdict.head.number, verdict.groups, verdict.boots
    if verdict.problem is not None:
        sys.stderr.write(f"{verdict.problem}\nUp to record {number} ({groups} commits) it is as it was written.\n")
        return 1
    if cut:
        sys.stderr.write(
            f"{chosen.file}: the history does not go through {chosen.head}: its end was cut off or replaced\n"
        )
        return 1
    sys.stdout.write(f"{chosen.file}: {number} records in {groups} commits and {boots} boots, as written\n")
    sys.stdout.write(f"head {verdict.head}\n")
    return 0


# --- show ------------------------------------------------------------------------------------------------------------


def show(chosen: argparse.Namespace, wait: Callable[[], object] = lambda: time.sleep(POLL_S)) -> int:
    """Print records; with `follow`, go on whenever more were committed."""
    with JournalReader(chosen.file) as reader:
        after = chosen.after
        while True:
            changes = reader.changes()
            for group in reader.groups(after):
                for row in group.rows:
                    if wanted(row, chosen):
                        sys.stdout.write(as_line(row[3]))
                after = max(after, group.head.number)
            sys.stdout.flush()
            if not chosen.follow:
                return 0
            while reader.changes() == changes:
                wait()


def wanted(row: Row, chosen: argparse.Namespace) -> bool:
    number, tag, order = row[:3]
    return (
        number > chosen.after
        and (chosen.order is None or order == chosen.order)
        and (chosen.type is None or tag in chosen.type)
    )


def as_line(data: bytes) -> str:
    """Return a record as a person reads it: number, time, event, and its fields."""
    fields = msgspec.json.decode(as_json(decode_record(data)))
    number, at_ns, cause, event = (fields.pop(name) for name in ("number", "at_ns", "cause", "event"))
    text = msgspec.json.encode(fields).decode()
    return f"{number:>8}  {as_time(at_ns)}  {event:<22} {text}  cause {cause}\n"


def as_time(at_ns: int) -> str:
    second, rest = divmod(at_ns, SECOND_NS)
    return f"{datetime.fromtimestamp(second, UTC):%Y-%m-%dT%H:%M:%S}.{rest:09d}Z"


# --- export ----------------------------------------------------------------------------------------------------------


def export(chosen: argparse.Namespace) -> int:
    """Write records to standard output or a file, which is complete or not there."""
    if chosen.out is None:
        with JournalReader(chosen.file) as reader:
            write_json_lines(rows_of(reader, chosen), sys.stdout)
        return 0
    write = WRITERS.get(chosen.out.suffix)
    if write is None:
        raise JournalError(f"{chosen.out}: the name must end in {' or '.join(WRITERS)}, which says what is written")
    part = chosen.out.with_name(chosen.out.name + ".part")
    try:
        with JournalReader(chosen.file) as reader:
            write(rows_of(reader, chosen), part)
        part.replace(chosen.out)
    except OSError as error:
        raise JournalError(f"{chosen.out}: it cannot be written: {error.strerror or error}") from error
    finally:
        part.unlink(missing_ok=True)
    return 0


def rows_of(reader: JournalReader, chosen: argparse.Namespace) -> Iterator[Row]:
    for group in reader.groups(chosen.after):
        for row in group.rows:
            if wanted(row, chosen):
                yield row


def write_json_lines(rows: Iterator[Row], out: TextIO) -> None:
    """Write one object a line, its fields named."""
    out.writelines(as_json(decode_record(row[3])).decode() + "\n" for row in rows)


def _json_lines_file(rows: Iterator[Row], path: Path) -> None:
    with path.open("w", encoding="utf-8") as out:
        write_json_lines(rows, out)


def _parquet_file(rows: Iterator[Row], path: Path) -> None:
    """Write a table with the fields of every event as JSON, a frame at a time: a journal may be larger than the memory."""
    try:
        import polars
        from polars.io.plugins import register_io_source
    except ImportError:
        raise JournalError(
            f"{path}: Parquet needs polars: pip install 'ordersmith[backtest]', or export *.jsonl"
        ) from None

    types = {"number": polars.Int64, "at_ns": polars.Int64, "cause": polars.Int64}
    schema = polars.Schema(types | dict.fromkeys(("event", "client_order_id", "fields"), polars.String))

    def frames(*_: object) -> Iterator[polars.DataFrame]:
        columns: list[tuple[object, ...]] = []
        for row in rows:
            columns.append(_columns(row))
            if len(columns) == FRAME_ROWS:
                yield polars.DataFrame(columns, schema=schema, orient="row")
                columns.clear()
        yield polars.DataFrame(columns, schema=schema, orient="row")

    # The file is made by us: after an error polars may make it when it was removed already, and leave it there.
    with path.open("wb") as out:
        register_io_source(frames, schema=schema).sink_parquet(out)


def _columns(row: Row) -> tuple[object, ...]:
    fields = msgspec.json.decode(as_json(decode_record(row[3])))
    head = [fields.pop(name) for name in ("number", "at_ns", "cause", "event")]
    return *head, row[2], msgspec.json.encode(fields).decode()


WRITERS = {".jsonl": _json_lines_file, ".parquet": _parquet_file}
