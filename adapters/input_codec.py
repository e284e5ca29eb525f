"""Any message as bytes and back, without loss: what an input log is written in.

Every value is written with its type, whatever a field's annotation says: it may say nothing (`Any`: a request that comes back
with its answer, a record's event), and nobody checks a message against it. Types are written as numbers, places in a table of
names that the log begins with.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from enum import Enum
from operator import attrgetter
from types import ModuleType
from typing import Any

import msgspec
from msgspec.structs import astuple

from ..actors.bars import Bars

TUPLE, LIST, DICT, DECIMAL, FIELDS, ENUM, NOT_SET = range(7)
"""What a value is that is no plain one: the first item of the array that it is written as."""

PLAIN = frozenset({type(None), bool, int, float, str, bytes})
"""Types that msgpack brings back by itself."""

COLUMNS = frozenset({Bars})
"""Classes that are no structs; their slots are what they are made of."""


class UnknownType(TypeError):
    """A value of a type that cannot be written, or that this version does not know."""


def kinds_in(*packages: ModuleType) -> dict[str, type]:
    """Return every struct and enumeration that these modules define, and those in their submodules, by name."""
    kinds: dict[str, type] = {}
    for module in (module for package in packages for module in _modules(package)):
        for value in vars(module).values():
            if isinstance(value, type) and value.__module__ == module.__name__ and _is_written(value):
                kinds[name_of(value)] = value
    return kinds


def name_of(kind: type) -> str:
    """Return the name of a type in a log, which does not depend on what the package is called."""
    return f"{kind.__module__.partition('.')[2]}.{kind.__qualname__}"


def _modules(package: ModuleType) -> Iterator[ModuleType]:
    yield package
    for found in pkgutil.walk_packages(getattr(package, "__path__", ()), package.__name__ + "."):
        yield importlib.import_module(found.name)


def _is_written(kind: type) -> bool:
    return issubclass(kind, msgspec.Struct | Enum) or kind in COLUMNS


class InputCodec:
    """Writes and reads values made of `kinds`. `names` is the table for `InputCodec.for_table`, at the other end."""

    def __init__(self, kinds: Mapping[str, type]) -> None:
        self.names = sorted(kinds)
        self._kinds: list[type | None] = [kinds[name] for name in self.names]
        self._writers: dict[type, Callable[[Any], Any]] = {
            tuple: lambda value: [TUPLE, *self._parts(value)],
            list: lambda value: [LIST, *map(self._written, value)],
            dict: self._dict,
            Decimal: lambda value: [DECIMAL, str(value)],
            msgspec.UnsetType: lambda _: [NOT_SET],
        }
        for index, name in enumerate(self.names):
            self._writers[kinds[name]] = self._writer(index, kinds[name])
        self._readers: tuple[Callable[[list[Any]], Any], ...] = (
            lambda items: tuple(map(self._read, items)),
            lambda items: [self._read(item) for item in items],
            lambda items: dict(zip(map(self._read, items[::2]), map(self._read, items[1::2]), strict=True)),
            lambda items: Decimal(items[0]),
            self._struct,
            lambda items: self._kind(items[0])(items[1]),
            lambda _: msgspec.UNSET,
        )
        self._encoder = msgspec.msgpack.Encoder()

    @classmethod
    def for_table(cls, names: Sequence[str], kinds: Mapping[str, type]) -> InputCodec:
        """Return what reads a log whose table is `names`. A name that is not known is told when a value of it is met."""
        codec = cls(kinds)
        codec.names = list(names)
        codec._kinds = [kinds.get(name) for name in names]
        return codec

    def encode(self, value: Any) -> bytes:
        """Return a value as bytes. Raises UnknownType, with the name, for what is of no known type."""
        return self._encoder.encode(self._written(value))

    def decode(self, data: bytes | memoryview) -> Any:
        """Return what was encoded. Raises UnknownType, or msgspec.MsgspecError for what is no such value."""
        return self._read(msgspec.msgpack.decode(data))

    # --- Write ---------------------------------------------------------------------------------------------------------

    def _written(self, value: Any) -> Any:
        kind = type(value)
        if kind in PLAIN:
            return value
        write = self._writers.get(kind)
        if write is None:
            if isinstance(value, float):  # of numpy, say
                return float(value)
            if isinstance(value, Mapping):
                return self._dict(value)
            raise UnknownType(
                f"{kind.__module__}.{kind.__qualname__}: a value of this type cannot be written to an input log: {value!r:.200}; "
                "accepted: structs and enumerations of `ordersmith.actors`, and what they are made of"
            )
        return write(value)

    def _parts(self, parts: tuple[Any, ...]) -> Iterable[Any]:
        return parts if PLAIN.issuperset(map(type, parts)) else map(self._written, parts)

    def _dict(self, value: Mapping[Any, Any]) -> list[Any]:
        return [DICT, *(self._written(part) for item in value.items() for part in item)]

    def _writer(self, index: int, kind: type) -> Callable[[Any], Any]:
        if issubclass(kind, Enum):
            return lambda value: [ENUM, index, value.value]
        fields = astuple if issubclass(kind, msgspec.Struct) else attrgetter(*fields_of(kind))
        return lambda value: [FIELDS, index, *self._parts(fields(value))]

    # --- Read ----------------------------------------------------------------------------------------------------------

    def _read(self, value: Any) -> Any:
        return self._readers[value[0]](value[1:]) if type(value) is list else value

    def _struct(self, items: list[Any]) -> Any:
        kind = self._kind(items[0])
        return kind(**dict(zip(fields_of(kind), map(self._read, items[1:]), strict=True)))

    def _kind(self, index: int) -> Any:
        kind = self._kinds[index]
        if kind is None:
            raise UnknownType(
                f"{self.names[index]}: this version knows no such type; replay with the version that recorded it"
            )
        return kind


def fields_of(kind: type) -> Iterable[str]:
    """Return the names of what a value of this type is made of, and made with."""
    return kind.__struct_fields__ if issubclass(kind, msgspec.Struct) else kind.__slots__  # type: ignore[attr-defined]
