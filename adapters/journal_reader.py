"""Reading a journal: to recover from it, to look something up, to prove that nobody has touched it.

A reader opens the database read-only, also while another process writes: it never carries the log over, takes no lock that
a writer would wait for, and reads in pieces so that the log does not grow because of it. What it hands out for a fold
(`read`) is checked against the hash chain, group by group, before a record of that group comes out.
"""

from __future__ import annotations

import sqlite3
import struct
from collections.abc import Iterator
from pathlib import Path
from stat import S_ISREG
from types import TracebackType
from typing import Any, NamedTuple, Self

import msgspec

from .journal_files import beside
from .journal_format import (
    APPLICATION_ID,
    Head,
    Header,
    Row,
    batch_of,
    digest_snapshots,
    groups_of,
    link_boot,
    link_group,
    lookup_keys,
    unpack_states,
)
from .journal_problems import JournalFault, JournalProblem, fault_of
from .journal_writer import check_header

PIECE = 5_000
"""How many rows are read at a time."""

COLUMNS = "number, type, client_order_id, data, boot, chain"


class Group(NamedTuple):
    """A commit group that is as it was written."""

    boot: int
    head: Head
    rows: list[Row]


class Boot(NamedTuple):
    """A process that opened the journal for writing, and the record that it found as the last."""

    boot: int
    at_ns: int
    after: int
    link: bytes


class Verdict(NamedTuple):
    """What `verify` found: how far the journal is as it was written, and what comes then. No problem is None."""

    head: Head
    groups: int
    boots: int
    problem: str | None


class JournalReader:
    """A journal opened for reading only. Not for two threads at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            if not S_ISREG(path.stat().st_mode):
                raise JournalFault(JournalProblem.NOT_A_JOURNAL, path)
            self.header = self._open("mode=ro")
        except (sqlite3.Error, OSError) as error:
            raise fault_of(error, path) from error
        except JournalFault as fault:
            # Where it may not make its own files SQLite reads nothing, unless it is told that nobody writes.
            if fault.problem is not JournalProblem.NO_RIGHTS or self._has_log():
                raise
            self.header = self._open("mode=ro&immutable=1")

    def _open(self, how: str) -> Header:
        self._database = sqlite3.connect(
            f"{self.path.absolute().as_uri()}?{how}", uri=True, check_same_thread=False, isolation_level=None
        )
        try:
            return self._checked_header()
        except BaseException:
            self._database.close()
            raise

    def _has_log(self) -> bool:
        log = beside(self.path, "-wal")
        return log.exists() and log.stat().st_size > 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._database.close()

    def head(self) -> Head:
        """Return the end of the journal as it is now."""
        rows = self._rows("SELECT number, chain FROM records WHERE chain IS NOT NULL ORDER BY number DESC LIMIT 1")
        return Head(*rows[0]) if rows else Head(0, self.header.link)

    def read(self, after: int = 0) -> Iterator[bytes]:
        """Yield the encoded records numbered above `after`, oldest first, as far as the journal goes now.

        Raises JournalFault in place of the first group that is not as it was written.
        """
        for group in self.groups(after):
            for row in group.rows:
                if row[0] > after:
                    yield row[3]

    def groups(self, after: int = 0) -> Iterator[Group]:
        """Yield the commit groups with records above `after`; the chain is followed from the group before them."""
        rows = self._rows(
            "SELECT number, chain FROM records WHERE number <= ? AND chain IS NOT NULL ORDER BY number DESC LIMIT 1",
            after,
        )
        head = Head(*rows[0]) if rows else Head(0, self.header.link)
        for group in groups_of(self._pieces(head.number)):
            yield (checked := self._checked(head, group))
            head = checked.head

    def history(self, client_order_id: str) -> list[bytes]:
        """Return the encoded records about one order, oldest first."""
        found = self._rows("SELECT data FROM records WHERE client_order_id = ? ORDER BY number", client_order_id)
        return [data for (data,) in found]

    def filled(self, after: int, upto: int) -> Iterator[list[bytes]]:
        """Yield the histories up to record `upto` of all orders with a fill there and a record above `after` that changed them.

        In the order of those first records; an approval changes no order.
        """
        orders = self._rows(
            "SELECT client_order_id FROM records WHERE number > ? AND number <= ? AND client_order_id IS NOT NULL"
            " AND type NOT IN ('OrderApproved', 'OrderReserved') GROUP BY client_order_id ORDER BY min(number)",
            after,
            upto,
        )
        for (order,) in orders:
            history = self._rows(
                "SELECT type, data FROM records WHERE client_order_id = ? AND number <= ? ORDER BY number", order, upto
            )
            if any(tag == "OrderFilled" for tag, _ in history):
                yield [data for _, data in history]

    def boots(self) -> Iterator[Boot]:
        """Yield the boots, checked against their chain and the records that they found."""
        link = self.header.link
        rows = self._rows("SELECT boot, at_ns, after, chain FROM boots ORDER BY boot")
        for number, boot in enumerate(map(Boot._make, rows), 1):
            found = self._rows("SELECT chain FROM records WHERE number = ?", boot.after) or [(self.header.link,)]
            try:
                link = link_boot(link, number, boot.at_ns, Head(boot.after, found[0][0] or b""))
            except (TypeError, struct.error):  # other types than were written
                link = b""
            if (boot.boot, boot.link) != (number, link):
                raise JournalFault(JournalProblem.EDITED, self.path, f"boot {number} is not as it was written")
            yield boot

    def snapshots(self, format_: str) -> tuple[int, dict[str, bytes]]:
        """Return the newest set of snapshots of this format that is intact and taken of this history; else (0, {})."""
        numbers = self._rows("SELECT number FROM snapshots WHERE format = ? ORDER BY number DESC", format_)
        for (number,) in numbers:
            if (states := self._snapshot_set(number)) is not None:
                return number, states
        return 0, {}

    def verify(self) -> Verdict:
        """Check everything that a fault or a hand could have changed: chain, numbers, look-up columns, boots, pages."""
        head, groups, boots = Head(0, self.header.link), 0, 0
        try:
            for group in self.groups():
                for number, tag, order, data, _, _ in group.rows:
                    if lookup_keys(data) != (number, tag, order):
                        raise JournalFault(
                            JournalProblem.EDITED, self.path, f"record {number} is filed as {tag} of {order}"
                        )
                head, groups = group.head, groups + 1
            for boot in self.boots():
                boots = boot.boot
            self._check_snapshots()
            self._check_pages()
        except JournalFault as fault:
            return Verdict(head, groups, boots, str(fault))
        return Verdict(head, groups, boots, None)

    def has(self, head: Head) -> bool:
        """Return whether the chain goes through `head`: a head noted elsewhere shows whether the end was cut off."""
        return self._rows("SELECT number, chain FROM records WHERE number = ?", head.number) == [head]

    def changes(self) -> int:
        """Return a number that changes when another connection has committed."""
        return int(self._rows("PRAGMA data_version")[0][0])

    # --- Parts ---------------------------------------------------------------------------------------------------------

    def _rows(self, sql: str, *parameters: object) -> list[Any]:
        try:
            return self._database.execute(sql, parameters).fetchall()
        except (sqlite3.Error, UnicodeDecodeError) as error:
            raise fault_of(error, self.path) from error

    def _pieces(self, after: int) -> Iterator[Row]:
        """Yield rows as long as there are any, each piece a short read of its own."""
        while rows := self._rows(
            f"SELECT {COLUMNS} FROM records WHERE number > ? ORDER BY number LIMIT {PIECE}",  # noqa: S608
            after,
        ):
            yield from rows
            after = rows[-1][0]

    def _checked_header(self) -> Header:
        if self._rows("PRAGMA application_id") != [(APPLICATION_ID,)]:
            raise JournalFault(JournalProblem.NOT_A_JOURNAL, self.path)
        version = self._rows("PRAGMA user_version")[0]
        statements = self._rows("SELECT sql FROM sqlite_master")
        has_header = any(sql and sql.startswith("CREATE TABLE header") for (sql,) in statements)
        rows = self._rows("SELECT version, encoding, created_ns, salt FROM header") if has_header else []
        return check_header(self.path, version, rows[0] if rows else None, statements)

    def _checked(self, before: Head, rows: list[Row]) -> Group:
        """Return the group if it follows `before` as it was written."""
        first, last = before.number + 1, rows[-1]
        place = f"the group of records {first} to {last[0]}, after {before.number}"
        if [row[0] for row in rows] != list(range(first, first + len(rows))):
            raise JournalFault(JournalProblem.EDITED, self.path, f"{place}: records are missing")
        boot, link = last[4], last[5]
        if boot is None or link is None:
            raise JournalFault(JournalProblem.EDITED, self.path, f"{place}: it has no end")
        try:
            intact = link_group(before.link, boot, batch_of(rows)) == link
        except (TypeError, ValueError, struct.error) as error:  # other types than were written
            raise JournalFault(JournalProblem.EDITED, self.path, f"{place}: {error}") from error
        if not intact:
            raise JournalFault(JournalProblem.EDITED, self.path, f"{place}: it is not as it was written")
        return Group(boot, Head(last[0], link), rows)

    def _snapshot_set(self, number: int) -> dict[str, bytes] | None:
        """Return the states of a set, None if it is not as it was written."""
        found = self._rows(
            "SELECT chain, format, parts, digest FROM snapshots JOIN records USING (number) WHERE number = ?", number
        )
        pieces = self._rows("SELECT data FROM snapshot_parts WHERE number = ? ORDER BY part", number)
        try:
            ((link, format_, parts, digest),) = found
            data = b"".join(data for (data,) in pieces)
            intact = len(pieces) == parts and digest_snapshots(link, format_, data) == digest
            return unpack_states(data) if intact else None
        except (TypeError, ValueError, AttributeError, msgspec.MsgspecError):  # other types than were written
            return None

    def _check_snapshots(self) -> None:
        for (number,) in self._rows("SELECT number FROM snapshots ORDER BY number"):
            if self._snapshot_set(number) is None:
                detail = f"the snapshots at record {number} are not as they were written"
                raise JournalFault(JournalProblem.EDITED, self.path, detail)

    def _check_pages(self) -> None:
        found = self._rows("PRAGMA integrity_check(1)")
        if found != [("ok",)]:
            raise JournalFault(JournalProblem.CORRUPT, self.path, str(found[0][0]).replace("\n", " "))
