"""Plain values to settings, by the fields of the structs in `settings`: every problem is noted, none stops the reading.

Where a value is wrong its setting keeps the default, so that the rest can still be looked at; nobody uses settings with
a problem.
"""

from __future__ import annotations

import difflib
import re
import types
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from datetime import date, datetime
from decimal import Decimal
from functools import cache
from pathlib import PurePath
from typing import Annotated, Any, Literal, NamedTuple, TypeVar, Union, get_args, get_origin, get_type_hints

from .kinds import Check, Section
from .problems import KeyPath, either, shown
from .secrets import Secret, Unfilled, fill
from .settings import Settings
from .yaml_reader import INTEGER, NUMBER, to_decimal

S = TypeVar("S", bound=Section)
Note = Callable[[KeyPath, object, str], None]
"""Takes a problem: its path, the value found (None where it may be a secret) and the message."""

NOT_A_KEY = "base"
"""The one field of `Settings` that no document sets."""

_DIGITS_BEFORE, _DIGITS_AFTER = 15, 18  # together less than the 34 digits that the domain calculates with
_INTEGER_BOUND = 2**63
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


class Shape(NamedTuple):
    """A field's type without its wrapping."""

    kind: Any
    check: Check | None
    optional: bool


class Reader:
    """Reads plain values into settings and hands each problem to `note`."""

    def __init__(self, note: Note) -> None:
        self._note = note

    def section(self, kind: type[S], raw: object, path: KeyPath) -> S:
        """Read a section; null, as of a heading with nothing under it, is all defaults."""
        fields = shapes(kind)
        if not isinstance(raw, Mapping):
            return kind() if raw is None else self._short(kind, raw, path)
        values = {}
        for key, value in raw.items():
            if key not in fields:
                self._note((*path, str(key)), None, _unknown(str(key), list(fields)))
                continue
            read = self._value(fields[key], value, (*path, key))
            if read is not _WRONG:
                values[key] = read
        return kind(**values)

    def _short(self, kind: type[S], raw: object, path: KeyPath) -> S:
        """Read a plain value in place of a section: it stands for the fields of the section's shorthand."""
        fields, plain = shapes(kind), not isinstance(raw, (list, tuple, bool))
        if not (kind.shorthand and plain):
            self._note(path, None, f"found {_sort_of(raw)}; accepted: {_accepted_in_place(kind)}")
            return kind()
        filled = self._filled(raw, path)
        meant = expanded(kind, filled)
        if filled is not _WRONG and not meant:
            self._note(path, raw, f"found {shown(raw)}; accepted: {_accepted_in_place(kind)}")
        values = {}
        for key, value in meant.items():
            values[key] = self._value(fields[key], value, path)
            if values[key] is _WRONG:  # one value, one problem
                return kind()
        return kind(**values)

    def _value(self, shape: Shape, raw: object, path: KeyPath) -> Any:
        kind, origin = shape.kind, get_origin(shape.kind)
        if isinstance(kind, type) and issubclass(kind, Section):
            return self.section(kind, raw, path)
        if kind is Secret:
            return self._secret(raw, path)
        if raw is None and shape.optional:
            return None
        if origin is dict:
            return self._table(get_args(kind), {} if raw is None else raw, path)
        filled = self._filled(raw, path)
        if filled is _WRONG:
            return _WRONG
        if kind is Any:
            return self._anything(filled, path)
        if origin is tuple:
            return self._list(shape, () if filled is None else filled, path)
        return self._scalar(shape, filled, path)

    def _scalar(self, shape: Shape, raw: object, path: KeyPath) -> Any:
        """Read one word, number, date or text."""
        accepted = _accepted(shape)
        try:
            value = _one_of(shape.kind, raw)
        except _TooLong as error:
            accepted, value = str(error), _WRONG
        except ValueError:
            value = _WRONG
        if value is _WRONG or (shape.check is not None and not shape.check.holds(value)):
            self._note(path, raw, f"found {shown(raw)}; accepted: {accepted}{', or null' if shape.optional else ''}")
            return _WRONG
        return value

    def _list(self, shape: Shape, raw: object, path: KeyPath) -> Any:
        accepted = _accepted(shape)
        if not isinstance(raw, (list, tuple)):
            self._note(path, raw, f"found {shown(raw)}; accepted: {accepted}")
            return _WRONG
        item_shape = _shape(get_args(shape.kind)[0])
        items = [self._value(item_shape, item, (*path, f"[{i}]")) for i, item in enumerate(raw)]
        if _WRONG in items:
            return _WRONG
        if shape.check is not None and not shape.check.holds(tuple(items)):
            self._note(path, raw, f"found {shown(raw)}; accepted: {accepted}")
            return _WRONG
        return tuple(items)

    def _table(self, arguments: tuple[Any, ...], raw: object, path: KeyPath) -> Any:
        key_shape, value_shape = map(_shape, arguments)
        if not isinstance(raw, Mapping):
            self._note(path, raw, f"found {shown(raw)}; accepted: a section")
            return _WRONG
        table = {}
        for key, value in raw.items():
            here = (*path, str(key))
            if not isinstance(key, str) or (key_shape.check is not None and not key_shape.check.holds(key)):
                self._note(here, None, f"found the key {shown(key)}; accepted: {_accepted(key_shape)}")
                continue
            table[key] = self._value(value_shape, value, here)
        return table

    def _anything(self, raw: object, path: KeyPath) -> Any:
        """Read what has no schema, a strategy's parameters: any plain value."""
        match raw:
            case Mapping():
                return self._table((str, Any), raw, path)
            case list() | tuple():
                return [self._value(_ANYTHING, item, (*path, f"[{i}]")) for i, item in enumerate(raw)]
            case None | bool() | str() | date():
                return raw
            case int():
                return self._scalar(_shape(int), raw, path)
            case Decimal() | float():
                return self._scalar(_shape(Decimal), raw, path)
        self._note(path, raw, f"found {shown(raw)}; accepted: text, a number, true, false, null, a list or a section")
        return _WRONG

    def _secret(self, raw: object, path: KeyPath) -> Any:
        if isinstance(raw, Secret):
            return raw
        if not isinstance(raw, str):
            found = "null" if raw is None else _sort_of(raw)
            self._note(path, None, f'found {found}; accepted: text in quotes, such as "${{NAME}}"')
            return _WRONG
        secret = Secret(raw, ".".join(path))
        try:
            secret.check()
        except Unfilled as unfilled:
            self._note(path, None, str(unfilled))
            return _WRONG
        return secret

    def _filled(self, raw: object, path: KeyPath) -> object:
        if not isinstance(raw, str):
            return raw
        try:
            return fill(raw)
        except Unfilled as unfilled:
            self._note(path, raw, str(unfilled))
            return _WRONG


@cache
def shapes(kind: type[Section]) -> dict[str, Shape]:
    """Return the keys of a section with their shapes, in the order of the struct."""
    hints = get_type_hints(kind, include_extras=True)
    return {name: _shape(hints[name]) for name in kind.__struct_fields__ if name != NOT_A_KEY}


def values(section: Section, path: KeyPath = ()) -> Iterator[tuple[KeyPath, Any]]:
    """Yield every setting with its path: sections and tables are opened, what is empty is a value."""
    for key in shapes(type(section)):
        yield from _opened(getattr(section, key), (*path, key))


def _opened(value: Any, path: KeyPath) -> Iterator[tuple[KeyPath, Any]]:
    if isinstance(value, Section):
        yield from values(value, path)
    elif isinstance(value, dict) and value:
        for key, item in value.items():
            yield from _opened(item, (*path, key))
    else:
        yield path, value


def known_paths(kind: type[Section] = Settings, path: KeyPath = ()) -> Iterator[KeyPath]:
    """Yield the path of every key of the schema, sections included."""
    for key, shape in shapes(kind).items():
        yield (*path, key)
        if isinstance(shape.kind, type) and issubclass(shape.kind, Section):
            yield from known_paths(shape.kind, (*path, key))


def expanded(kind: type[Section], raw: object) -> dict[str, object]:
    """Return the fields that a plain value in place of a section stands for: numbers go to numbers, a word to who knows it."""
    is_number = not isinstance(raw, str) or NUMBER.match(raw) is not None
    meant = {}
    for key in kind.shorthand:
        field = shapes(kind)[key].kind
        if raw in get_args(field) if get_origin(field) is Literal else is_number:
            meant[key] = raw
    return meant


def section_at(path: KeyPath) -> type[Section] | None:
    """Return the section that is at `path`, None where another thing or nothing is."""
    kind: Any = Settings
    for key in path:
        if not (isinstance(kind, type) and issubclass(kind, Section)) or key not in shapes(kind):
            return None
        kind = shapes(kind)[key].kind
    return kind if isinstance(kind, type) and issubclass(kind, Section) else None


def _shape(hint: Any) -> Shape:
    optional, check = False, None
    if get_origin(hint) in (Union, types.UnionType):
        optional = True
        (hint,) = (part for part in get_args(hint) if part is not types.NoneType)
    if get_origin(hint) is Annotated:
        hint, check = get_args(hint)
    return Shape(hint, check, optional)


def _unknown(key: str, accepted: list[str]) -> str:
    """Say what a wrong key may have meant: the same name elsewhere, else a similar one here, else a similar one elsewhere."""
    everywhere: dict[str, list[str]] = {}
    for known in known_paths():
        everywhere.setdefault(known[-1], []).append(".".join(known))
    name = key.lower()
    if name in everywhere and name not in accepted:
        nearest = everywhere[name]
    elif here := difflib.get_close_matches(name, accepted, n=1):
        nearest = here
    else:
        elsewhere = difflib.get_close_matches(name, everywhere, n=1, cutoff=0.8)
        nearest = everywhere[elsewhere[0]] if elsewhere else []
    question = f"; did you mean {either(nearest)}?" if nearest else ";"
    return f"unknown key{question} accepted here: {', '.join(accepted)}"


def _accepted(shape: Shape) -> str:
    if shape.check is not None:
        return shape.check.accepted
    if get_origin(shape.kind) is Literal:
        return either(get_args(shape.kind))
    return _WORDS.get(shape.kind, "text")


def _accepted_in_place(kind: type[Section]) -> str:
    """Say what may stand where a section is: itself, or a plain value for its shorthand."""
    fields = shapes(kind)
    plain = dict.fromkeys(_accepted(fields[key]) for key in kind.shorthand)
    return ", or ".join([*plain, f"a section with {', '.join(fields)}"])


def _sort_of(raw: object) -> str:
    """Name what was found without showing it."""
    match raw:
        case str():
            return "text"
        case bool() | int() | float() | Decimal():
            return "a number" if not isinstance(raw, bool) else shown(raw)
        case list() | tuple():
            return "a list"
        case _:
            return shown(raw)


class _TooLong(ValueError):
    """A number with more digits than the domain calculates with; the message is what would be accepted."""


def _number(raw: object) -> Decimal:
    """Return a number exactly as written. A float, which only a mapping can have, is its shortest decimal text."""
    match raw:
        case bool():
            raise ValueError
        case Decimal():
            value = raw
        case int() | float():
            value = Decimal(str(raw)) if isinstance(raw, float) else Decimal(raw)
        case str() if NUMBER.match(raw):
            value = to_decimal(raw)
        case _:
            raise ValueError
    if not value.is_finite():
        raise ValueError
    exponent = value.as_tuple().exponent
    if (value and value.adjusted() >= _DIGITS_BEFORE) or (isinstance(exponent, int) and exponent < -_DIGITS_AFTER):
        raise _TooLong(f"a number with at most {_DIGITS_BEFORE} digits before the point and {_DIGITS_AFTER} after it")
    return value


def _integer(raw: object) -> int:
    if isinstance(raw, str) and INTEGER.match(raw):
        raw = int(to_decimal(raw))
    if not isinstance(raw, int) or isinstance(raw, bool):
        raise ValueError
    if abs(raw) >= _INTEGER_BOUND:
        raise _TooLong("a whole number of at most 63 bits")
    return raw


def _boolean(raw: object) -> bool:
    if isinstance(raw, bool):
        return raw
    if raw in ("true", "false"):
        return raw == "true"
    raise ValueError


def _date(raw: object) -> date:
    if isinstance(raw, date) and not isinstance(raw, datetime):
        return raw
    if isinstance(raw, str) and _DATE.fullmatch(raw):
        return date.fromisoformat(raw)
    raise ValueError


def _text(raw: object) -> str:
    if isinstance(raw, (str, PurePath)):
        return str(raw)
    raise ValueError


def _one_of(kind: Any, raw: object) -> Any:
    """Read a scalar; of a union the first part that takes the value."""
    if get_origin(kind) not in (Union, types.UnionType):
        return _word(kind, raw) if get_origin(kind) is Literal else _SCALARS[kind](raw)
    for part in get_args(kind):
        with suppress(ValueError):
            return _one_of(part, raw)
    raise ValueError


def _word(kind: Any, raw: object) -> str:
    if isinstance(raw, str) and raw in get_args(kind):
        return raw
    raise ValueError


_WRONG: Any = object()
_ANYTHING = Shape(Any, None, True)
_SCALARS: dict[Any, Callable[[object], Any]] = {
    Decimal: _number,
    int: _integer,
    bool: _boolean,
    date: _date,
    str: _text,
}
_WORDS: dict[Any, str] = {
    Decimal: "a finite number",
    int: "a whole number",
    bool: "true or false",
    date: "a date such as 2005-03-01",
    str: "text",
}
