"""Put the tables that the code decides into ARCHITECTURE.md, between their markers: `python tests/update_architecture.py`.

A table stands between `<!-- NAME:begin -->` and `<!-- NAME:end -->`; everything else in the file is left as it is.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path

from ordersmith.actors.machines import order_table, risk

PAGE = Path(__file__).resolve().parent.parent / "ARCHITECTURE.md"
TABLES: dict[str, Callable[[], str]] = {"order-table": order_table.render, "risk-table": risk.render}


def updated(text: str, tables: dict[str, Callable[[], str]]) -> str:
    """Return `text` with every table between its markers. Raises ValueError where the markers are not there exactly once."""
    for name, render in tables.items():
        begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
        place = re.compile(re.escape(begin) + ".*?" + re.escape(end), re.DOTALL)
        if (text.count(begin), text.count(end), len(place.findall(text))) != (1, 1, 1):
            raise ValueError(f"ARCHITECTURE.md: {name} needs the lines {begin} and {end}, once each and in this order")
        table = f"{begin}\n\n{render()}\n\n{end}"
        text = place.sub(lambda _, table=table: table, text)  # type: ignore[misc]
    return text


def main() -> int:
    before = PAGE.read_text(encoding="utf-8")
    after = updated(before, TABLES)
    if after == before:
        print(f"{PAGE.name} is up to date")
    else:
        PAGE.write_text(after, encoding="utf-8")
        print(f"{PAGE.name} has its tables again")
    return 0


if __name__ == "__main__":
    sys.exit(main())
