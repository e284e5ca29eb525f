"""Records as bytes and back: msgpack arrays, each event tagged with its type."""

from __future__ import annotations

import msgspec

from ..actors.actor import Record
from ..actors.events import AnyEvent


class _Stored(msgspec.Struct, frozen=True, array_like=True):
    """A record with its event's type known: what `Record` is to the decoder."""

    number: int
    at_ns: int
    cause: int
    event: AnyEvent


_DECODER = msgspec.msgpack.Decoder(_Stored)


def decode_record(data: bytes | memoryview) -> Record:
    """Return the record that was encoded as `data`."""
    stored = _DECODER.decode(data)
    return Record(stored.number, stored.at_ns, stored.cause, stored.event)


def as_json(record: Record) -> bytes:
    """Return a record as one line of JSON with named fields; a field of the event called like one of the record's is `event_…`."""
    event = record.event
    line: dict[str, object] = {
        "number": record.number,
        "at_ns": record.at_ns,
        "cause": record.cause,
        "event": type(event).__name__,
    }
    fields = type(event).__struct_fields__
    line |= {f"event_{name}" if name in line else name: _named(getattr(event, name)) for name in fields}
    return msgspec.json.encode(line)


def _named(value: object) -> object:
    """Return `value` with Structs as dicts, so that the JSON has names where the journal has positions."""
    if isinstance(value, msgspec.Struct):
        fields = {name: getattr(value, name) for name in type(value).__struct_fields__}
        return {name: _named(part) for name, part in fields.items() if part is not msgspec.UNSET}
    if isinstance(value, dict):
        return {key: _named(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_named(entry) for entry in value]
    return value
