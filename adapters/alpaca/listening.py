"""Takes the updates of the stream, one after the other, and says what they say."""

from __future__ import annotations

import logging
from typing import Any

import anyio
from anyio.abc import TaskGroup
from anyio.streams.memory import MemoryObjectReceiveStream

from ...actors.errors import BrokerError, BrokerProtocolError
from ...actors.snapshots import ReadDue
from .session import Session, note
from .statuses import MEANING_OF
from .stream_keeper import StreamKeeper
from .wire import WireUpdate, convert

ASIDE = 1_000
"""So many updates may wait for questions; what comes then is told by a reading of the account."""


async def listen(session: Session, stream: StreamKeeper) -> None:
    """Tell of every update until cancelled. What cannot be told makes the account be read.

    What must be looked up is looked up beside the stream, before the telling or after it: a question that hangs holds up no fill of
    an order that is known.
    """
    later, aside = anyio.create_memory_object_stream[WireUpdate](ASIDE)
    with later, aside:
        async with anyio.create_task_group() as beside:
            beside.start_soon(_tell_aside, session, aside, beside)
            while True:
                data = await stream.next_update()
                session.polling.spoke()
                update = _read(session, data, beside)
                if update is None:
                    continue
                if not session.reads.must_ask(update.order):
                    await _tell(session, update, beside)
                    continue
                try:
                    later.send_nowait(update)
                except anyio.WouldBlock:
                    session.line.post(ReadDue())


async def _tell_aside(session: Session, aside: MemoryObjectReceiveStream[WireUpdate], beside: TaskGroup) -> None:
    async for update in aside:
        await _tell(session, update, beside)


def _read(session: Session, data: Any, beside: TaskGroup) -> WireUpdate | None:
    """Return an update. Of one that cannot be read the order is looked up, if it says which that is, and the account read."""
    try:
        update = convert(data, WireUpdate, "trade update")
    except BrokerProtocolError as error:
        note(logging.WARNING, "alpaca.update_unreadable", error=str(error))
        order = data.get("order") if isinstance(data, dict) else None
        order_id = order.get("id") if isinstance(order, dict) else None
        session.line.post(ReadDue())
        if order_id and isinstance(order_id, str):
            beside.start_soon(session.look_up, order_id)
        return None
    if update.event not in MEANING_OF:
        note(logging.WARNING, "alpaca.event_unknown", trade_event=update.event, status=update.order.status)
    return update


async def _tell(session: Session, update: WireUpdate, beside: TaskGroup) -> None:
    """Tell of one update, and look up what it leaves open."""
    try:
        known = await session.reads.learn(update.order)
    except BrokerError as error:
        session.failed(error, "update")
        session.line.post(ReadDue())
        return
    if known is None:  # an order of somebody else: a read of the account counts it
        beside.start_soon(session.count_others)
        return
    told = session.teller.update(update, known, session.line.now_ns)
    session.tell(told)
    if told.look_up:
        beside.start_soon(session.look_up, told.look_up)
