"""What a journal file holds: its tables, their versions, and the hash chain that runs through them.

A journal is one SQLite database. A row of `records` is one encoded record with what it is looked up by; the last row of
each *commit group* (what one transaction made durable) also has the boot that wrote it and the group's link of the chain:

    link(group) = SHA-256(link(group before) · boot · first number · ends of the records · their bytes)

so that nobody can change, remove, insert or reorder anything unnoticed without renewing all links after it. Cutting off
the end is noticed by whoever has noted a later link (`Head`). Every process that opens a journal for writing adds a row
to `boots`, chained likewise, and a trigger refuses rows of any boot but the last: a writer that was replaced cannot write.

A set of snapshots is cut into `snapshot_parts`, written between the commits; the row in `snapshots` comes last and makes
them a set. Parts without one are what a crash left.
"""

from __future__ import annotations

import hashlib
import struct
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple, get_args

import msgspec

from ..actors.events import AnyEvent, OrderEvent

APPLICATION_ID = 0x4F524453
"""Marks the file as ours ("ORDS") for SQLite's `application_id`, and for file(1)."""

VERSION = 1
"""Of the tables below. A program reads this version and older ones."""

ENCODING = 1
"""Of the bytes of a record: msgpack arrays, events tagged with their names, new fields at the end with defaults."""

HEADER = b"ordersmith journal"

SCHEMA = (
    """CREATE TABLE header (
    only INTEGER PRIMARY KEY CHECK (only = 1), version INTEGER NOT NULL, encoding INTEGER NOT NULL,
    created_ns INTEGER NOT NULL, salt BLOB NOT NULL
)""",
    """CREATE TABLE boots (
    boot INTEGER PRIMARY KEY, at_ns INTEGER NOT NULL, after INTEGER NOT NULL, chain BLOB NOT NULL
)""",
    """CREATE TABLE records (
    number INTEGER PRIMARY KEY, type TEXT NOT NULL, client_order_id TEXT, data BLOB NOT NULL, boot INTEGER, chain BLOB,
    CHECK ((boot IS NULL) = (chain IS NULL))
)""",
    "CREATE INDEX records_of_order ON records (client_order_id) WHERE client_order_id IS NOT NULL",
    """CREATE TABLE snapshots (
    number INTEGER PRIMARY KEY, format TEXT NOT NULL, parts INTEGER NOT NULL, digest BLOB NOT NULL, boot INTEGER NOT NULL
)""",
    """CREATE TABLE snapshot_parts (
    number INTEGER NOT NULL, part INTEGER NOT NULL, data BLOB NOT NULL, boot INTEGER NOT NULL, PRIMARY KEY (number, part)
)""",
    """CREATE TRIGGER records_of_the_last_boot BEFORE INSERT ON records
    WHEN NEW.boot IS NOT NULL AND NEW.boot IS NOT (SELECT max(boot) FROM boots)
    BEGIN SELECT RAISE(ABORT, 'fenced'); END""",
    """CREATE TRIGGER snapshots_of_the_last_boot BEFORE INSERT ON snapshots
    WHEN NEW.boot IS NOT (SELECT max(boot) FROM boots) BEGIN SELECT RAISE(ABORT, 'fenced'); END""",
    """CREATE TRIGGER snapshot_parts_of_the_last_boot BEFORE INSERT ON snapshot_parts
    WHEN NEW.boot IS NOT (SELECT max(boot) FROM boots) BEGIN SELECT RAISE(ABORT, 'fenced'); END""",
    "CREATE TRIGGER records_stay BEFORE DELETE ON records BEGIN SELECT RAISE(ABORT, 'records are never deleted'); END",
    "CREATE TRIGGER records_keep BEFORE UPDATE ON records BEGIN SELECT RAISE(ABORT, 'records are never changed'); END",
)


class Header(NamedTuple):
    """The one row that says what this file is."""

    version: int
    encoding: int
    created_ns: int
    salt: bytes

    @property
    def link(self) -> bytes:
        """Where the chains begin."""
        return hashlib.sha256(b"%b\0%d\0%b" % (HEADER, self.created_ns, self.salt)).digest()


class Head(NamedTuple):
    """The end of a journal: the number of its last record and the link of its last group."""

    number: int
    link: bytes

    def __str__(self) -> str:
        return f"{self.number}:{self.link.hex()}"


class Batch(NamedTuple):
    """Records for one transaction: record `first + i` is `data[ends[i-1]:ends[i]]`."""

    first: int
    data: bytes | bytearray
    ends: Sequence[int]

    @property
    def last(self) -> int:
        return self.first + len(self.ends) - 1


def link_group(before: bytes, boot: int, batch: Batch) -> bytes:
    """Return the link of a commit group."""
    digest = hashlib.sha256(before)
    digest.update(struct.pack(">qqq", boot, batch.first, len(batch.ends)))
    digest.update(b"".join(end.to_bytes(8, "big") for end in batch.ends))
    digest.update(batch.data)
    return digest.digest()


def link_boot(before: bytes, boot: int, at_ns: int, after: Head) -> bytes:
    """Return the link of a boot that found the journal ending at `after`."""
    return hashlib.sha256(before + struct.pack(">qqq", boot, at_ns, after.number) + after.link).digest()


# --- Snapshots -----------------------------------------------------------------------------------------------------------


def pack_states(states: Mapping[str, bytes]) -> bytes:
    """Return the states of actors as one piece."""
    return _PACK.encode(states)


def unpack_states(data: bytes) -> dict[str, bytes]:
    return _UNPACK.decode(data)


def digest_snapshots(link: bytes, format_: str, data: bytes) -> bytes:
    """Return the digest of a set of snapshots taken where the chain has `link`: of these states, after this history."""
    digest = hashlib.sha256(b"%b%d\0%b" % (link, len(format_), format_.encode()))
    digest.update(data)
    return digest.digest()


_PACK = msgspec.msgpack.Encoder(order="deterministic")
_UNPACK = msgspec.msgpack.Decoder(dict[str, bytes])


# --- What a record is looked up by -------------------------------------------------------------------------------------

ORDER_EVENTS = frozenset(kind.__name__ for kind in get_args(AnyEvent) if issubclass(kind, OrderEvent))


class _Tagged(msgspec.Struct, array_like=True):
    """An event as far as it has to be read: its tag, and its first field, which in an order's events is the order."""

    tag: str
    first: msgspec.Raw = msgspec.Raw()


class _Head(msgspec.Struct, array_like=True):
    """A record as far as it has to be read."""

    number: int
    at_ns: int
    cause: int
    event: _Tagged


_HEADS = msgspec.msgpack.Decoder(_Head)
_TEXT = msgspec.msgpack.Decoder(str)


def lookup_keys(data: bytes | memoryview) -> tuple[int, str, str | None]:
    """Return the number, the event's type and, of an order's event, the client order id of an encoded record."""
    head = _HEADS.decode(data)
    tag = head.event.tag
    return head.number, tag, _TEXT.decode(head.event.first) if tag in ORDER_EVENTS else None


Row = tuple[int, str, str | None, bytes, int | None, bytes | None]
"""A row of `records`."""

INSERT_RECORD = "INSERT INTO records (number, type, client_order_id, data, boot, chain) VALUES (?, ?, ?, ?, ?, ?)"


def rows_of(batch: Batch, boot: int, link: bytes) -> Iterator[Row]:
    """Yield the rows of a commit group. Lazily: the thread that writes them makes them."""
    data, begin, last = memoryview(batch.data), 0, batch.last
    for number, end in enumerate(batch.ends, batch.first):
        record = bytes(data[begin:end])
        _, tag, order = lookup_keys(record)
        yield number, tag, order, record, *((boot, link) if number == last else (None, None))
        begin = end


def batch_of(rows: Sequence[Row]) -> Batch:
    """Return the batch that a commit group was."""
    data, ends = bytearray(), array("Q")
    for row in rows:
        data += row[3]
        ends.append(len(data))
    return Batch(rows[0][0], data, ends)


def groups_of(rows: Iterable[Row]) -> Iterator[list[Row]]:
    """Cut rows into commit groups; what follows the last complete one is a group without a link."""
    group: list[Row] = []
    for row in rows:
        group.append(row)
        if row[5] is not None:
            yield group
            group = []
    if group:
        yield group
