"""The journal actor: answers for orders that have left memory, from the store."""

from __future__ import annotations

from .actor import Actor, handler
from .machines.order import OrderMachine
from .messages import FilledFound, GetFilledOrders, HistoryFound, JournalMessage, LookUpOrder
from .ports import ReadFilled, ReadHistory


class Journal(Actor[JournalMessage]):
    """Reads records back. Writing them is the dispatcher's: it belongs to every turn."""

    @handler
    def look_up(self, message: LookUpOrder) -> None:
        self.ctx.send("store", ReadHistory(message.client_order_id, message.then))

    @handler
    def found(self, message: HistoryFound) -> None:
        self.ctx.tell(self.ctx.refer("desk"), message)

    @handler
    def filled_orders(self, message: GetFilledOrders) -> None:
        self.ctx.send("store", ReadFilled(message.after, message.reply_to))

    @handler
    def filled_found(self, message: FilledFound) -> None:
        statuses = [OrderMachine.fold(history).status() for history in message.histories]
        self.ctx.reply(message.reply_to, sorted(statuses, key=lambda status: status.last_record))
