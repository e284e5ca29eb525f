"""Takes the updates of the stream, one after the other, and says what they say."""

from __future__ import annotations

import logging
from typing import Any

import anyio

from ...actors.errors import BrokerError, BrokerProtocolError
from ...actors.snapshots import ReadDue
from .session import Session, note
from .statuses import MEANING_OF
from .stream_keeper import StreamKeeper
from .wire import WireUpdate, convert


async def listen(session: Session, stream: StreamKeeper) -> None:
    """Tell of every update until cancelled. What cannot be told makes the account be read.

    What must be looked up is looked up beside the stream: a question that hangs holds up no fill.
    """
    async with anyio.create_task_group() as beside:
        while True:
            data = await stream.next_update()
            session.polling.spoke()
            try:
                order_id = await _tell(session, data)
            except BrokerError as error:
                session.failed(error, "update")
                session.line.post(ReadDue())
            else:
                if order_id:
                    beside.start_soon(session.look_up, order_id)


async def _tell(session: Session, data: dict[str, Any]) -> str:
    """Tell of one update; return the id of an order that must be looked up for it, "" for none."""
    try:
        update = convert(data, WireUpdate, "trade update")
    except BrokerProtocolError as error:
        note(logging.WARNING, "alpaca.update_unreadable", error=str(error))
        order = data.get("order")
        order_id = order.get("id") if isinstance(order, dict) else None
        session.line.post(ReadDue())
        return order_id if isinstance(order_id, str) else ""
    if update.event not in MEANING_OF:
        note(logging.WARNING, "alpaca.event_unknown", trade_event=update.event, status=update.order.status)
    known = await session.reads.learn(update.order)
    if known is None:
        return ""  # an order of somebody else: the next read of the account counts it
    told = session.teller.update(update, known, session.line.now_ns)
    session.tell(told)
    return told.look_up
