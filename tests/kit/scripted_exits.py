"""A bracket as Alpaca shows it: an entry `e` with a take profit `p` and a stop loss `s`, whose client order ids Alpaca made up."""

from __future__ import annotations

from typing import Any

from scripted_alpaca import ScriptedAlpaca, Seen, order_row

ORDERS, FILLS = "/v2/orders", "/v2/account/activities/FILL"
ENTRY, PROFIT, STOP = "b.0", "b-tp.0", "b-sl.0"


def profit(status: str = "new", **fields: Any) -> dict[str, Any]:
    row = order_row("77f0-1", status, id="p", side="sell", limit_price="60", order_class="bracket")
    return {**row, "created_at": "2026-11-22T08:00:00Z", **fields}


def stop(status: str = "held", **fields: Any) -> dict[str, Any]:
    row = order_row("77f0-2", status, id="s", side="sell", type="stop", limit_price=None, order_class="bracket")
    return {**row, "stop_price": "40", "created_at": "2026-11-22T08:00:00Z", **fields}


def entry(status: str = "filled", filled: str = "10", **fields: Any) -> dict[str, Any]:
    return order_row(ENTRY, status, filled, id="e", order_class="bracket", **fields)


class Lists:
    """What Alpaca lists: the open orders, and all of them with their exits beneath."""

    def __init__(self, alpaca: ScriptedAlpaca, *rows: dict[str, Any]) -> None:
        self.open: list[dict[str, Any]] = []
        self.all = list(rows)
        self.asked: list[Seen] = []
        alpaca.only("GET", ORDERS, body=self._page)
        for row in rows:
            for each in (row, *(row.get("legs") or ())):
                alpaca.only("GET", f"{ORDERS}/{each['id']}", body=each)

    def _page(self, seen: Seen) -> list[dict[str, Any]]:
        if seen.query["status"] == "open":
            return self.open
        self.asked.append(seen)
        return self.all
