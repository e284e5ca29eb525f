"""Alpaca's port: commands from the core to the REST API, the stream of trade updates back, and polls that check the stream.

It runs on whatever loop the host has. REST calls block, in worker threads; the stream lives in an island of asyncio. Everything that
it says is a fact, and facts may be told twice; what it cannot know it does not say. The session is open when the account has
answered. The account is read only while the stream listens, so that nothing falls between the two.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, NamedTuple

import anyio
import anyio.lowlevel
import anyio.to_thread

from ...actors.errors import BrokerAuthError, BrokerError
from ...actors.model import Instrument
from ...actors.ports import (
    CancelRequest,
    Connect,
    Connected,
    ConnectRefused,
    Disconnect,
    Disconnected,
    NewOrder,
    ReplaceRequest,
    StatusRequest,
)
from ...actors.snapshots import ReadDue, SnapshotFailed, SyncAccount
from ..asyncio_island import Island
from ..io_actor import IoActor, Line
from .access import Access
from .budget import Budget
from .clients import TradingRest
from .courier import Courier
from .instruments import instruments
from .listening import listen
from .order_commands import OrderCommands
from .polling import SECOND_NS
from .replacing import Replacement
from .rules import CAPABILITIES
from .session import PortMemory, Session, Timing, note
from .snapshot_read import read_account
from .stream_keeper import Lost, StreamKeeper
from .watching import Watch

__all__ = ["AlpacaPort", "PortMemory", "Surroundings", "Timing"]

PAPER_ACCOUNT = "PA"
KEY_PREFIX = {True: "PK", False: "AK"}
"""How keys begin, of paper and of live accounts. A key that begins otherwise is Alpaca's to judge."""

ASSETS_AGE_NS = 12 * 3600 * SECOND_NS
ORDER_COMMANDS = (NewOrder, CancelRequest, ReplaceRequest)


class Surroundings(NamedTuple):
    """What the port tells the runtime, and what it must know of it.

    `instruments`: the rules of all symbols, before the session is open. `answer_s`: after so long without an answer the core
    takes a new order for one that was sent. So one that was not sent by half of it never will be, and that is said.
    """

    instruments: Callable[[dict[str, Instrument]], None]
    answer_s: float = 5.0


class AlpacaPort(IoActor):
    """Speaks for one account. `memory` outlives it: the next incarnation goes on with what this one has learned."""

    def __init__(
        self, access: Access, memory: PortMemory, surroundings: Surroundings, timing: Timing | None = None
    ) -> None:
        self._access = access
        self._memory = memory
        self._around = surroundings
        self._timing = timing or Timing()

    async def run(self, line: Line) -> None:
        """Trade until cancelled."""
        timing = self._timing
        make = partial(TradingRest, self._access, (timing.connect_s, timing.read_s))
        orders, reads = make(), make()
        island = Island("alpaca-stream")
        await island.start()
        try:
            courier = Courier(orders, reads, Budget(), lambda: line.now_ns, timing.answer_s)
            await _Incarnation(self._access, self._around, Session(line, self._memory, courier, timing), island).run()
        finally:
            await island.stop(0)
            orders.close()
            reads.close()


class _Incarnation:
    """The tasks of one incarnation."""

    def __init__(self, access: Access, around: Surroundings, session: Session, island: Island) -> None:
        self._access = access
        self._around = around
        self._session = session
        self._timing = session.timing
        self._line = session.line
        timing = session.timing
        self._stream = StreamKeeper(
            access, island, timing.heartbeat, timing.pause_s, self._stream_came_up, self._stream_was_lost
        )
        self._watch = Watch(session, self._stream)
        self._commands = OrderCommands(session, around.answer_s / 2)
        self._streaming: anyio.CancelScope | None = None
        self._connecting = False
        self._asked_to_read = False
        self._one_stream = anyio.Lock()
        self._reading = anyio.Lock()
        self._last_question = 0
        self._under_way: dict[int, anyio.Event] = {}
        self._number = 0
        self._carry: dict[type, Callable[[Any, int], Awaitable[None]]] = {
            NewOrder: self._commands.new,
            CancelRequest: self._commands.cancel,
            ReplaceRequest: self._replace,
            StatusRequest: self._commands.status,
            Connect: self._connect,
            Disconnect: self._disconnect,
        }

    async def run(self) -> None:
        async with anyio.create_task_group() as self._group:
            self._group.start_soon(listen, self._session, self._stream)
            self._group.start_soon(self._watch.run)
            while True:
                command, cause = await self._line.receive()
                self._line.hold(command)
                self._number += 1
                if isinstance(command, SyncAccount):
                    self._last_question = self._number
                elif isinstance(command, NewOrder):
                    self._commands.expect(command)  # tasks begin in any order
                self._group.start_soon(self._take, command, cause, self._number, list(self._under_way.values()))
                if isinstance(command, ORDER_COMMANDS):
                    self._under_way[self._number] = anyio.Event()

    async def _take(self, command: Any, cause: int, number: int, before: list[anyio.Event]) -> None:
        """Carry out one command. `before` are those about orders that came earlier and are not done with."""
        try:
            if isinstance(command, SyncAccount):
                await self._sync(command, cause, number, before)
            else:
                await self._carry[type(command)](command, cause)
        finally:
            done = self._under_way.pop(number, None)
            if done is not None:
                done.set()
        self._line.done(command)

    async def _replace(self, command: ReplaceRequest, cause: int) -> None:
        await Replacement(self._session, self._commands, command, cause).run()

    # --- The session ---------------------------------------------------------------------------------------------------

    async def _connect(self, command: Connect, cause: int) -> None:
        """Ask for the account, and for the list of symbols the first time and twice a day."""
        if self._connecting:
            return  # the one that is under way answers for both
        self._connecting = True
        try:
            why = self._key_mismatch()
            if why is None:
                account = await self._session.reads.account()
                why = self._account_mismatch(account.account_number)
            if why is not None:
                self._line.post(ConnectRefused(why), cause)
                return
            if account.trading_blocked or account.account_blocked or account.trade_suspended_by_user:
                note(logging.WARNING, "alpaca.account_blocked", status=account.status)
            await self._read_instruments()
        except BrokerAuthError as error:
            self._session.refuse(str(error))
        except BrokerError as error:
            self._session.is_open = False
            self._line.post(Disconnected(f"no session: {error}"), cause)
        else:
            self._open(account.account_number, cause)
        finally:
            self._connecting = False

    def _open(self, account_number: str, cause: int) -> None:
        session = self._session
        session.memory.had_session = session.is_open = True
        if self._streaming is None:
            self._streaming = anyio.CancelScope()
            self._group.start_soon(self._keep_stream, self._streaming)
        self._watch.begin()
        self._line.post(Connected(account_number, CAPABILITIES), cause)

    async def _keep_stream(self, scope: anyio.CancelScope) -> None:
        with scope:
            async with self._one_stream:  # the one before may still be saying goodbye
                await self._stream.run()

    async def _disconnect(self, command: Disconnect, cause: int) -> None:
        self._session.is_open = False
        if self._streaming is not None:
            self._streaming.cancel()
            self._streaming = None
            self._session.hears = False
        self._line.post(Disconnected("closed as asked"), cause)
        await anyio.lowlevel.checkpoint()

    def _key_mismatch(self) -> str | None:
        key, is_paper = self._access.key.reveal(), self._access.paper
        if not key.startswith(KEY_PREFIX[not is_paper]):
            return None
        mode, other = ("paper", "live") if is_paper else ("live", "paper")
        return (
            f"execution.alpaca.api_key: the key is of a {other} account ({KEY_PREFIX[not is_paper]}…), and the mode is"
            f" {mode}; give the key of a {mode} account ({KEY_PREFIX[is_paper]}…)"
        )

    def _account_mismatch(self, number: str) -> str | None:
        is_paper = self._access.paper
        if number.startswith(PAPER_ACCOUNT) is is_paper:
            return None
        mode, other = ("paper", "live") if is_paper else ("live", "paper")
        return f"execution.mode: it is {mode}, and account {number} is a {other} account; give keys of a {mode} account"

    async def _read_instruments(self) -> None:
        """Read the symbols' rules; without those of today the ones of yesterday do, but not none."""
        memory, now_ns = self._session.memory, self._line.now_ns
        if memory.instruments and now_ns - memory.instruments_ns < ASSETS_AGE_NS:
            return
        try:
            assets = await self._session.reads.assets()
        except BrokerAuthError:
            raise
        except BrokerError:
            if not memory.instruments:
                raise
            return
        memory.instruments = await anyio.to_thread.run_sync(instruments, assets)
        memory.instruments_ns = now_ns
        self._around.instruments(memory.instruments)

    # --- The stream ----------------------------------------------------------------------------------------------------

    def _stream_came_up(self) -> None:
        self._session.hears = True
        self._session.polling.restart()
        self._session.want_poll()  # from what is so now on it is to say all
        if self._asked_to_read:  # and was told that it could not be read
            self._asked_to_read = False
            self._line.post(ReadDue())

    def _stream_was_lost(self, lost: Lost) -> None:
        self._session.hears = False
        if lost.refused:
            self._session.lose(lost.reason)
        elif lost.was_up:
            self._session.lose(f"the stream of trade updates was lost: {lost.reason}")

    # --- The account ---------------------------------------------------------------------------------------------------

    async def _sync(self, command: SyncAccount, cause: int, number: int, before: list[anyio.Event]) -> None:
        """Read the account, after the commands that came before, and only while the stream listens.

        Of questions that wait for each other the last one is answered: a burst of them would use up the rate limit.
        """
        session, stream = self._session, self._stream
        with anyio.move_on_after(self._timing.ready_s):
            for done in before:
                await done.wait()
        if not (session.is_open and await stream.wait_up(self._timing.ready_s) and session.hears):
            self._asked_to_read = True
            reason = (
                f"the stream of trade updates is not up: {stream.why_not}" if session.is_open else "there is no session"
            )
            self._line.post(SnapshotFailed(command.as_of, reason), cause)
            return
        life = stream.life
        try:
            async with self._reading:
                if number < self._last_question:
                    return
                reading = await read_account(command, session.reads, session.teller, self._line.now_ns)
        except BrokerError as error:
            session.failed(error, "account")
            self._line.post(SnapshotFailed(command.as_of, str(error)), cause)
            return
        if stream.life != life or not stream.is_up:
            self._line.post(
                SnapshotFailed(command.as_of, f"the stream of trade updates was lost: {stream.why_not}"), cause
            )
            return
        for text in reading.notes:
            note(logging.WARNING, "alpaca.activity", text=text)
        for report in reading.reports:
            self._line.post(report, cause)
        for fact in reading.facts:
            session.polling.told(fact)
        self._line.post(reading.snapshot, cause)
