"""Sets of snapshots in a journal: written in parts between the commits, so that none has to wait for more than one part.

A set counts when its row in `snapshots` is there, which comes last, and the digest in it fits. The last two sets are kept:
one can be damaged. What is dropped is space for the next, so the file grows by three sets and no more.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from ..actors.errors import JournalError
from .crash_points import crash_point
from .journal_format import digest_snapshots, pack_states

PART_BYTES = 64 << 10
"""As much as is written in the time that its sync takes."""

KEPT = 2
DROPPED_AT_ONCE = 4

INSERT_PART = "INSERT INTO snapshot_parts (number, part, data, boot) VALUES (?, ?, ?, ?)"
INSERT_SET = "INSERT INTO snapshots (number, format, parts, digest, boot) VALUES (?, ?, ?, ?, ?)"
DROP_SET = "DELETE FROM snapshots WHERE number = ?"
DROP_OLD_SETS = (
    f"DELETE FROM snapshots WHERE number NOT IN (SELECT number FROM snapshots ORDER BY number DESC LIMIT {KEPT})"  # noqa: S608
)
FIND_LOOSE_PARTS = f"SELECT number, part FROM snapshot_parts WHERE number NOT IN (SELECT number FROM snapshots) LIMIT {DROPPED_AT_ONCE}"  # noqa: S608
DROP_PART = "DELETE FROM snapshot_parts WHERE number = ? AND part = ?"

Step = tuple[str, Iterable[tuple[Any, ...]]]


class Turns(Protocol):
    """A database that is used in turns with others: each call is one, and others have theirs in between."""

    boot: int

    async def transact(self, *steps: Step) -> None: ...

    async def look_up(self, sql: str, *parameters: object) -> list[Any]: ...


async def save(turns: Turns, number: int, states: Mapping[str, bytes], format_: str) -> None:
    """Keep the states of actors as of record `number`, the end of a group, and drop all sets but the last two."""
    link = await turns.look_up("SELECT chain FROM records WHERE number = ?", number)
    if not link or link[0][0] is None:
        raise JournalError(f"a snapshot is taken at the end of a commit, which record {number} is not")
    await turns.transact((DROP_SET, [(number,)]))
    await drop_loose_parts(turns)
    data = pack_states(states)
    for part, begin in enumerate(range(0, len(data), PART_BYTES)):
        await turns.transact((INSERT_PART, [(number, part, data[begin : begin + PART_BYTES], turns.boot)]))
    crash_point("journal:snapshot-parts")
    parts = -(-len(data) // PART_BYTES)
    digest = digest_snapshots(link[0][0], format_, data)
    await turns.transact((INSERT_SET, [(number, format_, parts, digest, turns.boot)]), (DROP_OLD_SETS, [()]))
    await drop_loose_parts(turns)


async def drop_loose_parts(turns: Turns) -> None:
    """Remove the parts that belong to no set: of an older one, or of one that a crash broke off."""
    while loose := await turns.look_up(FIND_LOOSE_PARTS):
        await turns.transact((DROP_PART, loose))
