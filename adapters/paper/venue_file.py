"""The paper venue's own file, as if a broker's: an SQLite database beside the journal, and not part of it.

It holds what the venue is rebuilt from (its inputs in order, in groups), and what a broker can be asked for although the
exchange holds it no longer: every activity of the account by its number, and the orders that were finished long ago. One
group is one transaction, durable before anything that it caused is told to anybody. A crash may leave this file ahead of
the journal, as a broker may be, and never behind what the journal was told.

A group also says how far it goes into the bars and the activities, with a digest of each, so that other bars, or an
exchange that fills differently, are found out when the file is read again.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from ...actors.errors import BrokerUnavailable, ConfigError
from ...actors.ports import (
    BrokerOrderState,
    CashMovement,
    DividendDeclared,
    Executed,
    MarginDeficit,
    PositionAdjustment,
    Report,
    SaleSettled,
)
from ..crash_points import crash_point
from ..journal_files import FileLock, keep_private, make_file, sync_folder
from ..journal_problems import JournalFault, JournalProblem
from ..simulated.orders import OrderSummary
from .identity import differences
from .inputs import AnyInput
from .memory import Generation

APPLICATION_ID = 0x4F53_7061
FORMAT = 1
NEW_ACCOUNT = "delete it to begin a new account"
RESTORE = f"restore a backup of it, or {NEW_ACCOUNT}"
BUSY_S = 0.3

SCHEMA = (
    """CREATE TABLE header (
    only INTEGER PRIMARY KEY CHECK (only = 1), created_ns INTEGER NOT NULL, remembered INTEGER NOT NULL,
    identity BLOB NOT NULL
)""",
    """CREATE TABLE inputs (
    number INTEGER PRIMARY KEY, steps INTEGER NOT NULL, at_ns INTEGER NOT NULL, bars BLOB NOT NULL,
    told INTEGER NOT NULL, activities BLOB NOT NULL, inputs BLOB NOT NULL
)""",
    "CREATE TABLE activities (number INTEGER PRIMARY KEY, type TEXT NOT NULL, wire_id TEXT, report BLOB NOT NULL)",
    """CREATE TABLE orders (
    base_id TEXT PRIMARY KEY, generation INTEGER NOT NULL, summary BLOB NOT NULL
) WITHOUT ROWID""",
)
SETTINGS = (
    "PRAGMA synchronous = FULL",
    "PRAGMA fullfsync = ON",
    "PRAGMA checkpoint_fullfsync = ON",
    "PRAGMA trusted_schema = OFF",
)

_ENCODE = msgspec.msgpack.Encoder().encode
_INPUTS = msgspec.msgpack.Decoder(list[AnyInput])
_SUMMARY = msgspec.msgpack.Decoder(
    tuple[str, BrokerOrderState, str, tuple[str, ...], Decimal, Decimal, Decimal]  # the fields of OrderSummary
)
_ACTIVITIES: dict[str, msgspec.msgpack.Decoder[Any]] = {
    kind.__name__: msgspec.msgpack.Decoder(kind)
    for kind in (Executed, CashMovement, PositionAdjustment, DividendDeclared, SaleSettled, MarginDeficit)
}


class Mark(NamedTuple):
    """How far the venue is: bars taken and activities told, a digest of each, and the time."""

    steps: int
    at_ns: int
    bars: bytes
    told: int
    activities: bytes


def encoded(activity: Report) -> bytes:
    """Return the bytes of an activity, as they are kept and digested."""
    return _ENCODE(activity)


class VenueFile:
    """The file at `path`, for one process. Everything here blocks; call it where that is allowed, one call at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.remembered = 0
        self._groups = 0
        self._lock = FileLock(path)
        self._database: sqlite3.Connection | None = None

    def open(self, identity: dict[str, Any], remembered: int) -> None:
        """Lock the file, make it if it is new, and see that it is the account of this exchange on these bars.

        Raises ConfigError: one line that names the file, what is wrong, and what to do.
        """
        try:
            self._lock.take()
            make_file(self.path)
        except (JournalFault, OSError) as error:
            self._lock.release()
            raise ConfigError(self._trouble(error)) from error
        try:
            self._open(identity, remembered)
        except sqlite3.Error as error:
            self.close()
            raise ConfigError(self._trouble(error)) from error
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the file and let others have it."""
        database, self._database = self._database, None
        if database is not None:
            with suppress(sqlite3.Error):
                database.close()
        self._lock.release()

    # --- Write ---------------------------------------------------------------------------------------------------------

    def append(
        self,
        inputs: Sequence[AnyInput],
        mark: Mark,
        activities: Sequence[tuple[int, Report, bytes]],
        leaving: Sequence[Generation],
    ) -> None:
        """Make a group of inputs durable, with what came of them. Raises BrokerUnavailable; then nothing of it counts."""
        crash_point("paper:commit")
        try:
            self._append(_ENCODE(inputs), mark, activities, leaving)
        except sqlite3.Error as error:
            raise BrokerUnavailable(f"{self.path}: the paper account cannot be written: {error}") from error
        crash_point("paper:committed")
        self._groups += 1

    def _append(
        self,
        inputs: bytes,
        mark: Mark,
        activities: Sequence[tuple[int, Report, bytes]],
        leaving: Sequence[Generation],
    ) -> None:
        database = self._joined()
        database.execute("BEGIN IMMEDIATE")
        try:
            database.execute("INSERT INTO inputs VALUES (?, ?, ?, ?, ?, ?, ?)", (self._groups + 1, *mark, inputs))
            database.executemany(
                "INSERT INTO activities VALUES (?, ?, ?, ?)",
                [
                    (number, type(each).__name__, getattr(each, "wire_id", None), data)
                    for number, each, data in activities
                ],
            )
            for generation in leaving:
                database.executemany(
                    "INSERT INTO orders VALUES (?, ?, ?)",
                    [
                        (base_id, generation.number, _ENCODE(msgspec.structs.astuple(summary)))
                        for base_id, summary in generation.orders.items()
                    ],
                )
            crash_point("paper:written")
            database.execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):
                database.execute("ROLLBACK")
            raise

    # --- Read ----------------------------------------------------------------------------------------------------------

    def groups(self) -> Iterator[tuple[list[AnyInput], Mark]]:
        """Yield all inputs in order, group by group, with how far the venue was after each."""
        self._groups = 0
        rows = self._rows("SELECT number, steps, at_ns, bars, told, activities, inputs FROM inputs ORDER BY number")
        for number, steps, at_ns, bars, told, activities, inputs in rows:
            self._groups = number
            try:
                made = _INPUTS.decode(inputs)
            except msgspec.DecodeError as error:
                raise ConfigError(
                    f"{self.path}: this paper account is damaged, in group {number}: {error}; {RESTORE}"
                ) from error
            yield made, Mark(steps, at_ns, bars, told, activities)

    def find(self, base_id: str, upto: int) -> OrderSummary | None:
        """Return an order of long ago, of a generation up to `upto`."""
        rows = self._rows("SELECT summary FROM orders WHERE base_id = ? AND generation <= ?", (base_id, upto))
        row = next(rows, None)
        return None if row is None else OrderSummary(*_SUMMARY.decode(row[0]))

    def activities(self, after: int) -> list[Report]:
        """Return what has changed the account since activity number `after`, oldest first."""
        rows = self._rows("SELECT type, report FROM activities WHERE number > ? ORDER BY number", (after,))
        return [_ACTIVITIES[kind].decode(report) for kind, report in rows]

    def _rows(self, sql: str, parameters: tuple[Any, ...] = ()) -> Iterator[Any]:
        """Yield rows; raise ConfigError for a file that is damaged and BrokerUnavailable for one that cannot be read now."""
        try:
            for row in self._joined().execute(sql, parameters):  # noqa: UP028 - which would close the cursor after the file
                yield row
        except sqlite3.OperationalError as error:
            raise BrokerUnavailable(f"{self.path}: the paper account cannot be read: {error}") from error
        except sqlite3.DatabaseError as error:
            raise ConfigError(f"{self.path}: this paper account is damaged: {error}; {RESTORE}") from error

    # --- Open ----------------------------------------------------------------------------------------------------------

    def _open(self, identity: dict[str, Any], remembered: int) -> None:
        path = self.path.absolute().as_uri()
        database = self._database = sqlite3.connect(
            f"{path}?mode=rw", uri=True, timeout=BUSY_S, isolation_level=None, check_same_thread=False
        )
        keep_private(self.path)
        mark, version = self._value("PRAGMA application_id"), self._value("PRAGMA user_version")
        is_new = not self._value("SELECT count(*) FROM sqlite_master")
        if mark != APPLICATION_ID and (mark or not is_new):
            raise ConfigError(f"{self.path}: this is not a paper account; name another file in execution.paper.file")
        if version > FORMAT:
            known = f"this one knows formats up to {FORMAT}"
            raise ConfigError(
                f"{self.path}: a newer Ordersmith wrote this paper account, in format {version}, and {known};"
                " use that version, or name another file in execution.paper.file"
            )
        self._value("PRAGMA journal_mode = WAL")
        for setting in SETTINGS:
            database.execute(setting)
        if is_new:
            self._create(database, identity, remembered)
        sync_folder(self.path.parent)
        self._check(identity)

    def _create(self, database: sqlite3.Connection, identity: dict[str, Any], remembered: int) -> None:
        """Make the tables, all or none: a file that was left empty by a crash is new still."""
        database.execute("BEGIN IMMEDIATE")
        for statement in SCHEMA:
            database.execute(statement)
        database.execute(
            "INSERT INTO header VALUES (1, ?, ?, ?)", (time.time_ns(), remembered, msgspec.json.encode(identity))
        )
        database.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        database.execute(f"PRAGMA user_version = {FORMAT}")
        database.execute("COMMIT")

    def _check(self, identity: dict[str, Any]) -> None:
        row = self._joined().execute("SELECT remembered, identity FROM header").fetchone()
        if row is None:
            raise ConfigError(f"{self.path}: this paper account has lost its header; {NEW_ACCOUNT}")
        self.remembered = row[0]
        found = differences(msgspec.json.decode(row[1]), identity)
        if found:
            raise ConfigError(f"{self.path}: this paper account was begun otherwise: {found}; {NEW_ACCOUNT}")

    def _value(self, sql: str) -> Any:
        (value,) = self._joined().execute(sql).fetchone()
        return value

    def _joined(self) -> sqlite3.Connection:
        if self._database is None:
            raise BrokerUnavailable(f"{self.path}: the paper account is closed")
        return self._database

    def _trouble(self, error: Exception) -> str:
        """Say in one line why the file cannot be opened, and what to do."""
        if isinstance(error, JournalFault) and error.problem is JournalProblem.IN_USE:
            why = f"another process uses this paper account ({error.detail}); stop it"
            return f"{self.path}: {why}, or name another file in execution.paper.file"
        reason = error.detail if isinstance(error, JournalFault) else getattr(error, "strerror", None) or str(error)
        return f"{self.path}: the paper account cannot be opened: {reason}; correct that, or name another file in execution.paper.file"
