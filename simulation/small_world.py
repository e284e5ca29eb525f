"""The world of the small model: one process, one broker and what is on its way between them; and every step that may come next.

Nothing has a probability. Messages on their way are a bag: any of them may arrive next, get lost or come twice, as often as
the bounds allow. A record is durable when a step of its own says so, what rests on it waits, and what was let out waits
for the port to write it: a crash comes between any two of these. Time passes only from one timer to the next, at any moment;
what else happens in between happens at the instant of the timer before, which is no loss, since nothing but a timer waits for
an instant. The one promise of the real wire that is kept: what was written before its deadline has arrived by then, or never will.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from ..actors.messages import CancelOrder
from ..actors.ports import (
    CancelRequest,
    CommandKind,
    Connect,
    Disconnected,
    NewOrder,
    NotSent,
    OutcomeUnknown,
)
from ..actors.snapshots import AccountSnapshot, ReadDue, SnapshotFailed, SyncAccount
from .small_broker import Truth, answers, movements
from .small_core import (
    BEGIN_NS,
    CONNECTION,
    NO_TIMERS,
    ORDER,
    SECOND_NS,
    WIRE_ID,
    Boot,
    Interned,
    SmallCore,
    Submit,
    Ticked,
    first_state,
)
from .small_state import Bounds, Left, State, Step, with_one, without

READS = SyncAccount | AccountSnapshot | SnapshotFailed
ONLY_ONCE = NewOrder | Connect
SURVIVES_ITS_SESSION = NewOrder | CancelRequest


class SmallWorld:
    """Every step of every state. It holds no state itself, only what was worked out before."""

    def __init__(self, bounds: Bounds) -> None:
        self.bounds = bounds
        self.core = SmallCore()
        self.truths: Interned[Truth] = Interned()
        self.end_ns = BEGIN_NS + bounds.seconds * SECOND_NS
        self._reads: dict[int, int | None] = {}
        self._answers: dict[tuple[int, int], tuple[tuple[int, tuple[int, ...]], ...]] = {}
        self._movements: dict[int, tuple[tuple[int, tuple[int, ...]], ...]] = {}
        word = self.core.words.number
        self._cancel, self._read_due, self._boot = word(CancelOrder(None)), word(ReadDue()), word(Boot())
        self._lost = word(Disconnected("lost"))
        self._unknown = {
            kind: word(OutcomeUnknown(WIRE_ID, kind, "no answer")) for kind in (CommandKind.NEW, CommandKind.CANCEL)
        }

    # --- Beginning -----------------------------------------------------------------------------------------------------

    def begin(self) -> State:
        """Return the state in which the session is ready and the order was just submitted."""
        state = self._empty()
        state = self._tick(state, CONNECTION, self._boot).state
        for _ in range(50):
            step = self.next_by_itself(state)
            if step is None or not (state.waiting or state.port or state.wire or state.reports):
                break
            state = step.state
        return self._tick(state, ORDER, self.core.words.number(Submit())).state

    def _empty(self) -> State:
        folded = self.core.number_of(first_state())
        b = self.bounds
        left = Left(b.lost, b.doubled, b.crashes, b.disconnects, b.cancels, b.reads)
        truth = self.truths.number(Truth(False))
        return State(BEGIN_NS, folded, NO_TIMERS, folded, (), (), (), (), truth, 0, left)

    # --- Steps -----------------------------------------------------------------------------------------------------------

    def steps(self, state: State) -> Iterator[Step]:
        """Return everything that may happen next."""
        if state.waiting:
            yield self._commit(state)
        yield from self._at_the_broker(state)
        if len(state.waiting) < self.bounds.waiting:  # else the process is behind with its disk, and takes nothing in
            yield from self._to_the_process(state)
        yield from self._losses(state)
        if state.left.crashes:
            yield self._crash(state)

    def next_by_itself(self, state: State, *, is_patient: bool = False) -> Step | None:
        """Return the next step when nothing goes wrong any more: all that is on its way comes in turn, then a timer."""
        if state.waiting:
            return self._commit(state)
        if state.port:
            return self._write(state)
        if state.wire:
            return next(self._arrivals(state, state.wire[0], state.left))
        if state.reports:
            return self._tell(state, state.reports[0], state.left)
        return self._time(state) if is_patient and state.timers else None

    def _at_the_broker(self, state: State) -> Iterator[Step]:
        for word in dict.fromkeys(state.wire):
            yield from self._arrivals(state, word, state.left)
        moves = self._movements.get(state.truth)
        if moves is None:
            moves = self._movements[state.truth] = self._outcomes(movements(self.truths.things[state.truth]))
        for truth, reports in moves:
            yield Step("the broker fills", truth, self._reported(state, truth, reports), "")

    def _to_the_process(self, state: State) -> Iterator[Step]:
        left = state.left
        if state.port:
            yield self._write(state)
        for word in dict.fromkeys(state.reports):
            yield self._tell(state, word, left)
            if left.doubled:
                yield self._tell(state, word, left._replace(doubled=left.doubled - 1), keeps=True)
        deadline_ns = self.core.next_deadline_ns(state.timers)
        if deadline_ns is not None and self._may_pass(state, deadline_ns):
            yield self._time(state)
        if left.cancels and self.core.knows_order(state.folded):
            spent = state._replace(left=left._replace(cancels=left.cancels - 1))
            yield self._tick(spent, ORDER, self._cancel, "a client cancels")
        if left.reads:
            spent = state._replace(left=left._replace(reads=left.reads - 1))
            yield self._tick(spent, CONNECTION, self._read_due, "the account is to be read")
        if left.disconnects:
            yield self._disconnect(state)
        if left.lost and state.written:
            spent = state._replace(left=left._replace(lost=left.lost - 1))
            for word in self._unknown.values():
                yield self._tick(spent, CONNECTION, word, "the port gives up waiting")

    def _losses(self, state: State) -> Iterator[Step]:
        left = state.left
        if left.doubled:
            fewer = left._replace(doubled=left.doubled - 1)
            for word in dict.fromkeys(state.wire):
                if not isinstance(self.core.words.things[word], ONLY_ONCE):
                    yield from self._arrivals(state, word, fewer, keeps=True)
        if left.lost:
            fewer = left._replace(lost=left.lost - 1)
            for word in dict.fromkeys(state.wire):
                after = state._replace(wire=without(state.wire, word), left=fewer)
                yield Step("lost on its way to the broker", word, self._renumbered(after), "")
            for word in dict.fromkeys(state.reports):
                after = state._replace(reports=without(state.reports, word), left=fewer)
                yield Step("lost on its way to us", word, self._renumbered(after), "")

    # --- One step each ---------------------------------------------------------------------------------------------------

    def _commit(self, state: State) -> Step:
        """Let the oldest tick be durable, and let out what rests on it."""
        (folded, commands), *rest = state.waiting
        after = state._replace(durable=folded, waiting=tuple(rest), port=state.port + commands)
        return Step("durable", folded, after, "")

    def _write(self, state: State) -> Step:
        """Write the first command of the port, or say that it is too late for it."""
        word, *rest = state.port
        command = self.core.words.things[word]
        after = state._replace(port=tuple(rest))
        if isinstance(command, NewOrder):
            if state.now_ns > command.not_after_ns:
                late = self.core.words.number(NotSent(command.wire_id, CommandKind.NEW, "too late"))
                return self._tick(after, CONNECTION, late, "too late to be written")
            after = after._replace(written=state.written + 1)
        after = after._replace(wire=with_one(state.wire, word))
        return Step("written", word, after, self._unwritten(state, command))

    def _unwritten(self, state: State, command: Any) -> str:
        """Tell what is wrong with a command that is being written."""
        durable = self.core.state(state.durable).order
        if isinstance(command, NewOrder):
            if durable is None or durable.wire_id != command.wire_id:
                return "I8: a new order is written, and its intent is not durable"
            return "I1: the new order is written a second time" if state.written else ""
        if isinstance(command, CancelRequest) and (durable is None or not (durable.cancel_wanted or durable.is_closed)):
            return "I8: a cancel is written, and it is not durable why"
        return ""

    def _arrivals(self, state: State, word: int, left: Left, *, keeps: bool = False) -> Iterator[Step]:
        key = (state.truth, word)
        known = self._answers.get(key)
        if known is None:
            made = answers(self.truths.things[state.truth], self.core.words.things[word])
            known = self._answers[key] = self._outcomes(made)
        wire = state.wire if keeps else without(state.wire, word)
        name = "arrives at the broker, and comes again" if keeps else "arrives at the broker"
        for truth, reports in known:
            spent = left
            if reports and self._is_failure(reports[0]):
                if not left.lost:
                    continue
                spent = left._replace(lost=left.lost - 1)
            after = self._reported(state._replace(wire=wire, left=spent), truth, reports)
            yield Step(name, word, self._renumbered(after), "")

    def _is_failure(self, word: int) -> bool:
        return type(self.core.words.things[word]) is SnapshotFailed

    def _outcomes(self, made: Any) -> tuple[tuple[int, tuple[int, ...]], ...]:
        return tuple(
            (self.truths.number(truth), tuple(map(self.core.words.number, reports))) for truth, reports in made
        )

    def _reported(self, state: State, truth: int, reports: tuple[int, ...]) -> State:
        bag = state.reports
        for word in reports:
            bag = with_one(bag, word)
        return state._replace(truth=truth, reports=bag)

    def _tell(self, state: State, word: int, left: Left, *, keeps: bool = False) -> Step:
        reports = state.reports if keeps else without(state.reports, word)
        name = "we are told, and will be again" if keeps else "we are told"
        return self._tick(state._replace(reports=reports, left=left), CONNECTION, word, name)

    def _may_pass(self, state: State, now_ns: int) -> bool:
        """Whether it may be so late: not before all has arrived, or was lost, that had to be there by then."""
        in_motion = (*state.wire, *state.reports, *state.port, *(word for _, held in state.waiting for word in held))
        if now_ns > self.end_ns or sum(self._matters_late(word) for word in in_motion) > self.bounds.under_way:
            return False
        words = self.core.words.things
        return all(
            command.not_after_ns >= now_ns
            for command in (words[word] for word in state.wire)
            if isinstance(command, NewOrder)
        )

    def _matters_late(self, word: int) -> bool:
        """Whether a message counts among those that may be late: not a new order, which has a deadline of its own."""
        return not isinstance(self.core.words.things[word], NewOrder)

    def _time(self, state: State) -> Step:
        now_ns, ticked = self.core.fire(state.folded, state.timers)
        now_ns = max(now_ns, state.now_ns)
        return self._ticked(state._replace(now_ns=now_ns), ticked, "a timer", now_ns)

    def _disconnect(self, state: State) -> Step:
        """Lose the session: what was told is lost, and what was asked gets no answer."""
        left = state.left
        after = self._cut(state._replace(left=left._replace(disconnects=left.disconnects - 1)))
        return self._tick(after, CONNECTION, self._lost, "the session is lost")

    def _crash(self, state: State) -> Step:
        """End the process, and begin the next one on what is durable."""
        after = self._cut(state)._replace(
            folded=state.durable,
            timers=NO_TIMERS,
            waiting=(),
            port=(),
            left=state.left._replace(crashes=state.left.crashes - 1),
        )
        return self._tick(after, CONNECTION, self._boot, "crash and boot")

    def _cut(self, state: State) -> State:
        words = self.core.words.things
        wire = tuple(word for word in state.wire if isinstance(words[word], SURVIVES_ITS_SESSION))
        truth = msgspec.structs.replace(self.truths.things[state.truth], is_connected=False)
        return state._replace(wire=wire, reports=(), truth=self.truths.number(truth))

    # --- Ticks -----------------------------------------------------------------------------------------------------------

    def _tick(self, state: State, actor: str, word: int, name: str = "") -> Step:
        ticked = self.core.tick(state.folded, state.timers, state.now_ns, actor, word)
        return self._ticked(state, ticked, name, word)

    def _ticked(self, state: State, ticked: Ticked, name: str, what: int) -> Step:
        waiting, port = self.let_out(state, ticked)
        after = state._replace(folded=ticked.folded, timers=ticked.timers, waiting=waiting, port=port)
        return Step(name, what, self._renumbered(after), ticked.problem)

    def let_out(self, state: State, ticked: Ticked) -> tuple[tuple[tuple[int, tuple[int, ...]], ...], tuple[int, ...]]:
        """Return what waits for the disk and what the port has, after a tick: nothing leaves before what it rests on is durable."""
        waiting, commands = state.waiting, ticked.commands
        if ticked.recorded:
            return (*waiting, (self.core.renumber(ticked.folded, ())[0], commands)), state.port
        if waiting:
            (folded, before) = waiting[-1]
            return (*waiting[:-1], (folded, before + commands)), state.port
        return waiting, state.port + commands

    def _hurried(self, state: State) -> State:
        """Let be durable, and let be written, whatever that makes no difference to once there is no crash to come.

        A delay on the way to the wire is then no other than one on it, except for a new order, which may be too late for it.
        """
        words = self.core.words.things
        waiting, port, wire, durable = list(state.waiting), list(state.port), list(state.wire), state.durable
        while True:
            while port and not isinstance(words[port[0]], NewOrder):
                wire.append(port.pop(0))
            if port or not waiting or any(isinstance(words[word], NewOrder) for word in waiting[0][1]):
                break
            durable, commands = waiting.pop(0)
            port.extend(commands)
        return state._replace(durable=durable, waiting=tuple(waiting), port=tuple(port), wire=tuple(sorted(wire)))

    # --- Record numbers --------------------------------------------------------------------------------------------------

    def _renumbered(self, state: State) -> State:
        """Return the state with small record numbers, in what is folded and in the reads that are under way."""
        if not state.left.crashes and (state.waiting or state.port):
            state = self._hurried(state)
        in_motion = (*state.wire, *state.reports, *state.port, *(word for _, held in state.waiting for word in held))
        as_of = tuple(sorted({number for word in in_motion if (number := self._as_of(word)) is not None}))
        folded, ranks = self.core.renumber(state.folded, as_of)
        if not as_of:
            return state._replace(folded=folded)
        return state._replace(
            folded=folded,
            waiting=tuple((held, self._ranked(words, ranks)) for held, words in state.waiting),
            port=self._ranked(state.port, ranks),
            wire=tuple(sorted(self._ranked(state.wire, ranks))),
            reports=tuple(sorted(self._ranked(state.reports, ranks))),
        )

    def _as_of(self, word: int) -> int | None:
        """Return the record number that a message is about a read of the account as of."""
        try:
            return self._reads[word]
        except KeyError:
            message = self.core.words.things[word]
            found = self._reads[word] = message.as_of if isinstance(message, READS) else None
            return found

    def _ranked(self, words: tuple[int, ...], ranks: dict[int, int]) -> tuple[int, ...]:
        return tuple(self._with_rank(word, ranks) for word in words)

    def _with_rank(self, word: int, ranks: dict[int, int]) -> int:
        number = self._as_of(word)
        if number is None or ranks[number] == number:
            return word
        message = msgspec.structs.replace(self.core.words.things[word], as_of=ranks[number])
        return self.core.words.number(message)
