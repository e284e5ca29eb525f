"""Splits, dividends and symbol changes from a CSV file.

The columns are symbol, kind, date, ratio, amount, pay_date and new_symbol, under these names or common others. A row that
cannot be right is told with its line and its reason, all such rows at once, as those of bars are.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from decimal import Decimal, InvalidOperation, localcontext
from pathlib import Path
from typing import NamedTuple

from ..actors.bars import CorporateAction, CorporateActionKind
from ..actors.errors import DataError

COLUMN_NAMES: dict[str, tuple[str, ...]] = {
    "symbol": ("symbol", "ticker", "sym"),
    "kind": ("kind", "type", "action", "event"),
    "date": ("date", "ex_date", "exdate", "ex_dividend_date", "effective_date", "session"),
    "ratio": ("ratio", "split_ratio", "split_factor", "factor", "split"),
    "amount": ("amount", "dividend", "dividend_amount", "cash_amount", "cash"),
    "pay_date": ("pay_date", "paydate", "payment_date", "payable_date"),
    "new_symbol": ("new_symbol", "new_ticker", "to_symbol"),
}
"""Accepted column names by what they mean; case, and spaces or hyphens for underscores, do not matter."""

REQUIRED = ("symbol", "kind", "date")

SPLIT, DIVIDEND, SYMBOL_CHANGE = (
    CorporateActionKind.SPLIT,
    CorporateActionKind.DIVIDEND,
    CorporateActionKind.SYMBOL_CHANGE,
)
KINDS = {
    **dict.fromkeys(("split", "stock_split", "forward_split", "reverse_split"), SPLIT),
    **dict.fromkeys(("dividend", "cash_dividend", "div"), DIVIDEND),
    **dict.fromkeys(("symbol_change", "ticker_change", "name_change", "rename"), SYMBOL_CHANGE),
}

FIELD_OF_KIND = {SPLIT: "ratio", DIVIDEND: "amount", SYMBOL_CHANGE: "new_symbol"}
"""The one field that an action of the kind needs, and no other kind may have."""

EPOCH_DAY = date(1970, 1, 1).toordinal()
LARGEST_RATIO = 10_000
SHOWN = 10
"""Bad rows that a message lists before it only counts."""

_FIELDS = {name: field for field, names in COLUMN_NAMES.items() for name in names}
_RATIO = re.compile(r"(\d+(?:\.\d+)?)\s*(?::|/|-?for-?|\s+for\s+)\s*(\d+(?:\.\d+)?)", re.IGNORECASE)
_YEARS = range(1900, 2200)


class ActionsFile(NamedTuple):
    """The actions of a file by session, those of one session in the file's order, and what is wrong with its other rows."""

    actions: tuple[CorporateAction, ...]
    bad_rows: tuple[str, ...]


class _BadValue(ValueError):
    """A field that is not accepted; the message names it, the value and what would be accepted."""


def load_actions(path: Path, *, bad_rows: str = "stop") -> ActionsFile:
    """Read the file. Raises DataError where it cannot be read, and for bad rows unless they are to be skipped."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as text:
            lines = csv.reader(text)
            found = read_actions(lines, path.name)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"data.corporate_actions: {path} cannot be read: {reason}; give a CSV file") from error
    if found.bad_rows and bad_rows == "stop":
        shown = [f"  {row}" for row in found.bad_rows[:SHOWN]]
        more = [f"  and {len(found.bad_rows) - SHOWN:,} more"] if len(found.bad_rows) > SHOWN else []
        rows = "1 bad row" if len(found.bad_rows) == 1 else f"{len(found.bad_rows):,} bad rows"
        raise DataError(
            "\n".join([f"{rows} in corporate actions; correct them, or set data.bad_rows to skip", *shown, *more])
        )
    return found


def read_actions(lines: Iterable[Sequence[str]], file: str) -> ActionsFile:
    """Read rows of text, the first of which names the columns."""
    actions: list[CorporateAction] = []
    bad: list[str] = []
    seen: dict[tuple[object, ...], int] = {}
    fields: list[str | None] | None = None
    for number, cells in enumerate(lines, start=1):
        number = getattr(lines, "line_num", number)  # as an editor counts, where a cell holds a line break
        if not any(cell.strip() for cell in cells):
            continue
        if fields is None:
            fields = _recognise(cells, file)
            continue
        try:
            if len(cells) > len(fields):
                raise _BadValue(f"{len(cells)} fields where the header has {len(fields)}")
            row = {field: cell.strip() for field, cell in zip(fields, cells, strict=False) if field}
            action = _action(row)
            earlier = seen.setdefault(_identity(action), number)
            if earlier != number:
                raise _BadValue(
                    f"the same {action.kind.lower()} of {action.symbol} is in line {earlier}; keep one of them"
                )
        except _BadValue as error:
            bad.append(f"{file} line {number}: {error}")
        else:
            actions.append(action)
    if fields is None:
        raise DataError(f"data.corporate_actions: {file} is empty; its first line must be {','.join(COLUMN_NAMES)}")
    return ActionsFile(tuple(sorted(actions, key=lambda action: action.session)), tuple(bad))


def _recognise(columns: Sequence[str], file: str) -> list[str | None]:
    fields = [_FIELDS.get(column.strip().lower().replace(" ", "_").replace("-", "_")) for column in columns]
    known = [field for field in fields if field]
    twice = [field for field in COLUMN_NAMES if known.count(field) > 1]
    missing = [field for field in REQUIRED if field not in known]
    if missing or twice:
        what = f"no column for {', '.join(missing)}" if missing else f"more than one column for {', '.join(twice)}"
        accepted = "; ".join(f"{field}: {', '.join(COLUMN_NAMES[field])}" for field in missing or twice)
        raise DataError(
            f"data.corporate_actions: {file} has {what}; its columns are {', '.join(map(repr, columns))}. Accepted names: {accepted}"
        )
    return fields


def _identity(action: CorporateAction) -> tuple[object, ...]:
    """Return what two rows may not share: a regular and a special dividend may go ex together, two equal ones may not."""
    return action.symbol, action.kind, action.session, action.amount


def _action(row: Mapping[str, str]) -> CorporateAction:
    """Read one row; raise `_BadValue`."""
    symbol = row["symbol"]
    if not symbol:
        raise _BadValue("symbol is missing")
    word = row.get("kind", "").lower().replace(" ", "_").replace("-", "_")
    kind = KINDS.get(word)
    if kind is None:
        raise _BadValue(f"kind {row.get('kind', '')!r} is not known; give split, dividend or symbol_change")
    session = _date(row.get("date", ""), "date")
    needed = FIELD_OF_KIND[kind]
    value = row.get(needed, "")
    if not value:
        raise _BadValue(f"{needed} is missing; a {kind.lower()} needs one{_EXAMPLES[needed]}")
    for field in FIELD_OF_KIND.values():
        if field != needed and row.get(field) and not _is_neutral(field, row[field]):
            raise _BadValue(f"{field} {row[field]!r} does not belong to a {kind.lower()}; leave it empty")
    pay = _date(row["pay_date"], "pay_date") if row.get("pay_date") else session
    if pay < session:
        raise _BadValue(f"pay_date {row['pay_date']} is before date {row['date']}, the ex-date")
    if kind is SPLIT:
        return CorporateAction(kind=kind, symbol=symbol, session=session, ratio=_ratio(value))
    if kind is DIVIDEND:
        return CorporateAction(kind=kind, symbol=symbol, session=session, amount=_amount(value), pay_session=pay)
    if value == symbol:
        raise _BadValue(f"new_symbol {value!r} is the symbol itself")
    return CorporateAction(kind=kind, symbol=symbol, session=session, new_symbol=value)


def _is_neutral(field: str, text: str) -> bool:
    """Tell whether a field that a row does not use says nothing: sources write a ratio of 1 and an amount of 0 there."""
    return {"ratio": "1", "amount": "0"}.get(field) == (text.rstrip("0").rstrip(".") if "." in text else text)


def _date(text: str, field: str) -> int:
    try:
        day = date.fromisoformat(text.replace("/", "-"))
    except ValueError:
        day = None
    if day is None or day.year not in _YEARS:
        raise _BadValue(f"{field} {text!r} is not a date; write it as 2005-02-28" if text else f"{field} is missing")
    return day.toordinal() - EPOCH_DAY


def _ratio(text: str) -> Decimal:
    """Read `2`, `2:1`, `2-for-1` or `0.1`: new shares for one old."""
    parts = _RATIO.fullmatch(text)
    new, old = (Decimal(parts[1]), Decimal(parts[2])) if parts else (_number(text), Decimal(1))
    if not (new > 0 and old > 0 and old <= new * LARGEST_RATIO and new <= old * LARGEST_RATIO):
        raise _BadValue(f"ratio {text!r} is not new shares for old ones{_EXAMPLES['ratio']}")
    if new == old:
        raise _BadValue(f"ratio {text!r} changes nothing; leave the row out")
    with localcontext(prec=34):  # 1:3 has no end: as many digits as the domain calculates with
        return new / old


def _amount(text: str) -> Decimal:
    amount = _number(text.removeprefix("$"))
    if not 0 < amount < 10**9:
        raise _BadValue(f"amount {text!r} is not currency a share{_EXAMPLES['amount']}")
    return amount


def _number(text: str) -> Decimal:
    """Return a number, zero for what is none: it is out of every bound here."""
    try:
        value = Decimal(text)
    except InvalidOperation:
        return Decimal(0)
    return value if value.is_finite() else Decimal(0)


_EXAMPLES = {
    "ratio": ", such as 2 or 2:1 for a split, 0.1 or 1:10 for a reverse split",
    "amount": ", such as 0.25",
    "new_symbol": ", the symbol from that date on",
}
