"""Bugs of the process: turns, commits, timers, restarts, boots, and the port at the edge."""

from __future__ import annotations

from typing import Any

import msgspec
from storm_mutants_planting import Patch, mutant

from ordersmith.actors.circuit_breaker import CircuitBreaker
from ordersmith.actors.machines.breaker import BreakerRules
from ordersmith.actors.messages import CooldownOver
from ordersmith.adapters import io_actor
from ordersmith.adapters.simulated import sending
from ordersmith.simulation.process import Process
from ordersmith.supervisor import recovery
from ordersmith.supervisor.commit import CommitLog
from ordersmith.supervisor.dispatcher import Dispatcher
from ordersmith.supervisor.lifecycle import Lifecycle
from ordersmith.supervisor.timers import Timers

# --- The output commit -----------------------------------------------------------------------------------------------


@mutant("a command leaves before what it rests on is durable")
def effect_released_before_the_commit(patch: Patch) -> None:
    def wrap(before: Any) -> Any:
        def send(self: Any, port: str, command: Any) -> None:
            self._effects.append((self.ports[port].accept, (command, self._cause)))

        return send

    patch.method(Dispatcher, "send", wrap)


@mutant("an answer is given before what it rests on is durable")
def answer_given_before_the_commit(patch: Patch) -> None:
    def wrap(before: Any) -> Any:
        def reply(self: Any, to: Any, value: Any) -> None:
            complete = self.asks.reply(to, value)
            if complete is not None:
                complete[0](complete[1])

        return reply

    patch.method(Dispatcher, "_reply", wrap)


@mutant("what is handed to the disk counts as durable before it is synced")
def commit_acknowledged_before_the_sync(patch: Patch) -> None:
    def wrap(before: Any) -> Any:
        def write(self: Any) -> None:
            before(self)
            self._durable = self.base + self._written

        return write

    patch.method(CommitLog, "write", wrap)


# --- Turns -----------------------------------------------------------------------------------------------------------


@mutant("the records of a turn that crashed are kept", profile="hurricane", faults=("ACTOR_CRASH", "PARTIAL_FILL"))
def records_of_a_crashed_turn_kept(patch: Patch) -> None:
    def wrap(before: Any) -> Any:
        def abandon(self: Any, told: int, error: BaseException) -> None:
            cell, fresh = self._item[0], list(self._fresh)
            before(self, told, error)
            if fresh and cell.live:
                self._fresh.extend(fresh)
                self._number += len(fresh)
                self._end_turn(cell)

        return abandon

    patch.method(Dispatcher, "abandon", wrap)


@mutant("what a turn that crashed has sent is sent")
def sends_of_a_crashed_turn_kept(patch: Patch) -> None:
    def wrap(before: Any) -> Any:
        def abandon(self: Any, told: int, error: BaseException) -> None:
            sent = [(apply, given) for apply, given in self._effects if apply == self._post_out]
            before(self, told, error)
            for apply, given in sent:
                apply(*given)

        return abandon

    patch.method(Dispatcher, "abandon", wrap)


@mutant("an actor folds what it records itself twice")
def records_folded_twice(patch: Patch) -> None:
    def wrap(before: Any) -> Any:
        def record(self: Any, event: Any) -> Any:
            made = before(self, event)
            cell = self._item[0]
            fold = cell.folds.get(type(event))
            if fold is not None and not cell.entity:
                fold(cell.actor, event, made)
            return made

        return record

    patch.method(Dispatcher, "record", wrap)


@mutant("the message that crashed an actor is lost")
def crashed_message_lost(patch: Patch) -> None:
    def wrap(before: Any) -> Any:
        def crashed(self: Any, cell: Any, message: Any, error: Exception, attempt: int = 1) -> None:
            before(self, cell, None, error, attempt)

        return crashed

    patch.method(Lifecycle, "crashed", wrap)


@mutant("an actor that is rebuilt begins without what was recorded since its last snapshot")
def rebuilt_from_the_snapshot_alone(patch: Patch) -> None:
    def wrap(before: Any) -> Any:
        def rebuild(self: Any, cell: Any, actor: Any) -> None:
            records = self.log.records
            if cell.entity or cell.incarnation == 0:
                before(self, cell, actor)
                return
            kept = list(records)
            records.clear()
            try:
                before(self, cell, actor)
            finally:
                records.extend(kept)

        return rebuild

    patch.method(Dispatcher, "rebuild", wrap)


@mutant(
    "a timer that was forgotten is delivered, and believed",
    profile="hurricane",
    faults=("REJECTED", "DISK_FULL", "DISK_STALL", "COMMIT_AMBIGUOUS"),
    world={"BREAKER": BreakerRules(rejections=1)},
)
def stale_timers_delivered(patch: Patch) -> None:
    def wrap(before: Any) -> Any:
        def cooldown_over(self: Any, message: Any) -> None:
            before(self, CooldownOver(self.state.epoch))

        return cooldown_over

    patch.method(Timers, "disarm", lambda before: lambda self, cell, key: None)
    patch.method(CircuitBreaker, "cooldown_over", wrap)


# --- Boots -----------------------------------------------------------------------------------------------------------


@mutant("a boot folds the last records before a snapshot once more")
def snapshot_under_an_older_number(patch: Patch) -> None:
    def wrap(before: Any) -> Any:
        def remember(dispatcher: Any) -> Any:
            memory = before(dispatcher)
            return None if memory is None else (max(memory[0] - 40, 0), memory[1])

        return remember

    patch.function(recovery.remember, wrap)


@mutant("a boot brings back only orders that were heard of since the last snapshot")
def orders_of_the_snapshot_not_revived(patch: Patch) -> None:
    def wrap(before: Any) -> Any:
        def histories(memory: Any) -> Any:
            states = {name: state for name, state in memory.states.items() if name != recovery.ORDERS}
            return before(msgspec.structs.replace(memory, states=states))

        return histories

    patch.function(recovery._histories, wrap)


@mutant("ids do not tell one boot from another", profile="hurricane", faults=("OLD_JOURNAL", "PARTIAL_FILL"))
def ids_repeated_after_a_restore(patch: Patch) -> None:
    def wrap(before: Any) -> Any:
        def plan(self: Any, prices: Any, backlog: Any) -> Any:
            made = before(self, prices, backlog)
            made.id_prefix = "sim-"
            return made

        return plan

    patch.method(Process, "_plan", wrap)


# --- The port --------------------------------------------------------------------------------------------------------


@mutant("what was approved before a halt is sent after it")
def approval_not_checked_after_a_halt(patch: Patch) -> None:
    def wrap(before: Any) -> Any:
        def not_to_be_sent(command: Any, epoch: int | None, now_ns: int, *why: str) -> Any:
            return before(command, epoch and getattr(command, "trading_epoch", epoch), now_ns, *why)

        return not_to_be_sent

    patch.function(sending.not_to_be_sent, wrap)


@mutant("what is late is sent", faults=("RATE_LIMITED", "PARTIAL_FILL"), profile="hurricane")
def deadline_not_looked_at(patch: Patch) -> None:
    patch.function(
        sending.not_to_be_sent, lambda before: lambda command, epoch, now_ns, *why: before(command, epoch, 0, *why)
    )


@mutant("a command that a port died with counts as not sent")
def dead_port_says_not_sent(patch: Patch) -> None:
    def wrap(before: Any) -> Any:
        return lambda command, *, in_hand, reason: before(command, in_hand=False, reason=reason)

    patch.function(io_actor.what_became_of, wrap)


@mutant("the next port gets what the one that died had not finished")
def channel_kept_over_a_restart(patch: Patch) -> None:
    left: list[Any] = []

    def closing(before: Any) -> Any:
        def close_port(self: Any, line: Any, reason: str) -> None:
            left[:] = [self, *line.in_hand, *line.waiting]
            before(self, line, reason)

        return close_port

    def opening(before: Any) -> Any:
        def run_port(self: Any, cell: Any) -> Any:
            line = before(self, cell)
            if left and left[0] is self:
                line.waiting.extend(left[1:])
            left.clear()
            self._take_later()
            return line

        return run_port

    patch.method(Process, "close_port", closing)
    patch.method(Process, "_run_port", opening)
