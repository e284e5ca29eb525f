"""Takes the updates of the stream, one after the other, and says what they say."""

from __future__ import annotations

import logging
from typing import Any

from ...actors.errors import BrokerError, BrokerProtocolError
from ...actors.snapshots import ReadDue
from .session import Session, note
from .statuses import MEANING_OF
from .stream_keeper import StreamKeeper
from .wire import WireUpdate, convert


async def listen(session: Session, stream: StreamKeeper) -> None:
    """Tell of every update until cancelled. What cannot be told makes the account be read."""
    while True:
        data = await stream.next_update()
        session.polling.spoke()
        try:
            await _tell(session, data)
        except BrokerError as error:
            session.failed(error, "update")
            session.line.post(ReadDue())


async def _tell(session: Session, data: dict[str, Any]) -> None:
    try:
        update = convert(data, WireUpdate, "trade update")
    except BrokerProtocolError as error:
        note(logging.WARNING, "alpaca.update_unreadable", error=str(error))
        order = data.get("order")
        order_id = order.get("id") if isinstance(order, dict) else None
        if isinstance(order_id, str):
            await session.look_up(order_id)
        session.line.post(ReadDue())
        return
    if update.event not in MEANING_OF:
        note(logging.WARNING, "alpaca.event_unknown", trade_event=update.event, status=update.order.status)
    known = await session.reads.learn(update.order)
    if known is None:
        return  # an order of somebody else: the next read of the account counts it
    told = session.teller.update(update, known, session.line.now_ns)
    session.tell(told)
    if told.look_up:
        await session.look_up(told.look_up)
