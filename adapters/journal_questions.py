"""The endpoint `store` of a live runtime: the journal actor's questions, answered from the file without holding anything up.

A question waits until all that was recorded before it is durable, so that the answer contains it, and is then read in a
thread with a read-only connection of its own. A long answer is read in pieces, and short ones come out in between. When
reading fails that is told, and tried again for as long as it takes: a question is answered or still in the queue.

    questions = JournalQuestions(store, last=lambda: core.last, post=post, failed=failed)
    dispatcher.ports["store"] = questions
    task_group.start_soon(questions.run)
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path

import anyio
import msgspec

from ..actors.actor import Record
from ..actors.messages import FilledFound, HistoryFound
from ..actors.ports import ReadFilled, ReadHistory
from .asyncio_island import GRACE_S, Island, IslandDown, open_island
from .journal_problems import JournalFault, JournalProblem
from .journal_reader import JournalReader
from .record_codec import decode_record
from .sqlite_journal import RETRY_S, SqliteJournal

ASKER = "journal"
"""The actor that asks, and that the answers are for."""

BOUND = 1_000
"""How many questions may wait before whoever lets them out should stop."""

PIECE = 100
"""How many histories are read before another question has its turn: about a millisecond's work."""

Answer = HistoryFound | FilledFound


class _Question:
    """A question under way; `number` is the last record that there was when it came."""

    def __init__(self, command: ReadHistory | ReadFilled, cause: int, number: int) -> None:
        self.command = command
        self.cause = cause
        self.number = number
        self.histories: Iterator[list[bytes]] | None = None
        self.found: list[tuple[Record, ...]] = []

    def restart(self) -> None:
        self.histories, self.found = None, []

    def answer(self, reader: JournalReader) -> Answer | None:
        """Read a piece; return the answer if that was the last. Blocks."""
        command = self.command
        if isinstance(command, ReadHistory):
            return HistoryFound(
                command.client_order_id, _decoded(reader.history(command.client_order_id)), command.then
            )
        if self.histories is None:
            self.histories = reader.filled(command.after, self.number)
        piece = [_decoded(history) for history in islice(self.histories, PIECE)]
        self.found += piece
        return None if len(piece) == PIECE else FilledFound(tuple(self.found), command.reply_to)


class _Reading:
    """The journal, open for the length of one `run`. All of it is called in that run's thread, which has nothing else to do."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._reader: JournalReader | None = None

    async def go_on(self, question: _Question) -> Answer | None:
        """Read on for a question; after a failure it begins anew, with the file opened anew."""
        try:
            if self._reader is None:
                self._reader = JournalReader(self._path)
            return question.answer(self._reader)
        except (JournalFault, msgspec.MsgspecError) as error:
            question.restart()
            await self.close()
            if isinstance(error, JournalFault):
                raise
            raise JournalFault(JournalProblem.CORRUPT, self._path, str(error)) from error

    async def close(self) -> None:
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.close()


class JournalQuestions:
    """Takes `ReadHistory` and `ReadFilled`; `run`, a task of the host's, answers them by `post(actor, answer, cause)`.

    `last` says the number of the last record. `failed` is told when reading fails, and again when it fails for another
    reason; a later answer says that it works again.
    """

    def __init__(
        self,
        store: SqliteJournal,
        *,
        last: Callable[[], int],
        post: Callable[[str, Answer, int], None],
        failed: Callable[[JournalFault], None],
    ) -> None:
        self.fault: JournalFault | None = None
        self._store = store
        self._last = last
        self._post = post
        self._failed = failed
        self._waiting: deque[_Question] = deque()
        self._asked = anyio.Event()

    @property
    def waiting(self) -> int:
        """How many questions have no answer yet."""
        return len(self._waiting)

    @property
    def full(self) -> bool:
        """Whether no more should be let out to here. What comes all the same is taken: dropping it would leave its asker waiting."""
        return len(self._waiting) >= BOUND

    def accept(self, command: ReadHistory | ReadFilled, cause: int) -> None:
        """Take a question; the answer comes by `post`, with the same cause."""
        self._waiting.append(_Question(command, cause, self._last()))
        self._asked.set()

    async def run(self) -> None:
        """Answer until cancelled. A question that was being read is then still there for the next `run`."""
        reading = _Reading(self._store.path)
        for question in self._waiting:
            question.restart()
        async with open_island(f"questions {self._store.path.name}") as island:
            try:
                while True:
                    await self._answer_all(island, reading)
                    self._asked = anyio.Event()
                    await self._asked.wait()
            finally:
                with anyio.move_on_after(GRACE_S, shield=True), suppress(IslandDown):
                    await island.call(reading.close)

    # --- Parts ---------------------------------------------------------------------------------------------------------

    async def _answer_all(self, island: Island, reading: _Reading) -> None:
        """Answer until nobody waits; who fails, or needs another piece, goes to the end of the queue."""
        failures = 0
        while self._waiting:
            question = self._waiting[0]
            await self._store.reaches(question.number)
            try:
                answer = await island.call(reading.go_on, question)
            except JournalFault as fault:
                self._waiting.rotate(-1)
                self._take_note(fault)
                await anyio.sleep(RETRY_S[min(failures, len(RETRY_S) - 1)])
                failures += 1
                continue
            failures = 0
            if answer is None:
                self._waiting.rotate(-1)
                continue
            self._waiting.popleft()
            self.fault = None
            self._post(ASKER, answer, question.cause)

    def _take_note(self, fault: JournalFault) -> None:
        news = self.fault is None or self.fault.problem is not fault.problem
        self.fault = fault
        if news:
            self._failed(fault)


def _decoded(history: list[bytes]) -> tuple[Record, ...]:
    return tuple(map(decode_record, history))
