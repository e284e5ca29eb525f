"""Records as bytes: every event type comes back as it was, and as JSON every field has its name."""

from __future__ import annotations

import json
import typing
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from any_values import PLAIN, values_of
from hypothesis import given, settings
from hypothesis import strategies as st

from ordersmith.actors.actor import Event, Record
from ordersmith.actors.events import AnyEvent
from ordersmith.adapters.record_codec import as_json, decode_record
from ordersmith.supervisor.commit import ENCODER

KINDS = typing.get_args(AnyEvent)


def concrete(kind: type) -> set[type]:
    return (
        {kind} if not kind.__subclasses__() else {leaf for below in kind.__subclasses__() for leaf in concrete(below)}
    )


def test_every_event_is_known_to_the_decoder() -> None:
    """Every event type of the domain is in AnyEvent, so that no record can be written that cannot be read."""
    ours = {kind for kind in concrete(Event) if kind.__module__.startswith("ordersmith.actors.")}
    assert ours == set(KINDS)


def test_tags_are_unique() -> None:
    """No two event types are written under one tag."""
    assert len({kind.__struct_config__.tag for kind in KINDS}) == len(KINDS)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_every_event_comes_back(kind: type[Event], data: st.DataObject) -> None:
    """Any record of any event type is, decoded, the record that was encoded, down to the digits of its decimals."""
    record = Record(
        data.draw(st.integers(1, 2**63 - 1)),
        data.draw(PLAIN[int]),
        data.draw(PLAIN[int]),
        data.draw(values_of(kind)),
    )
    again = decode_record(ENCODER.encode(record))
    assert type(again) is Record
    assert again == record
    assert repr(again) == repr(record), "0 and 0.00 are equal, but not the same"


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_json_has_named_fields(kind: type[Event], data: st.DataObject) -> None:
    """A record as JSON is one line with the names of the record and of all fields of its event, nothing overwritten or left out."""
    event = data.draw(values_of(kind))
    line = as_json(Record(7, 8, -9, event))
    assert b"\n" not in line
    parsed = json.loads(line, parse_float=Decimal)
    assert {name: parsed.pop(name) for name in ("number", "at_ns", "cause", "event")} == {
        "number": 7,
        "at_ns": 8,
        "cause": -9,
        "event": kind.__name__,
    }
    fields = {"event_cause" if name == "cause" else name: name for name in kind.__struct_fields__}
    assert list(parsed) == list(fields)
    for name, value in parsed.items():
        assert_shown(getattr(event, fields[name]), value)


def assert_shown(value: Any, shown: Any) -> None:
    """Check what JSON shows of a value: Structs as objects with all fields that are set, decimals as strings with all their digits."""
    if isinstance(value, msgspec.Struct):
        fields = [name for name in value.__struct_fields__ if getattr(value, name) is not msgspec.UNSET]
        assert list(shown) == fields
        for name in fields:
            assert_shown(getattr(value, name), shown[name])
    elif isinstance(value, tuple):
        assert len(value) == len(shown)
        for entry, part in zip(value, shown, strict=True):
            assert_shown(entry, part)
    elif isinstance(value, dict):
        assert list(value) == list(shown)
        for key, entry in value.items():
            assert_shown(entry, shown[key])
    elif isinstance(value, Decimal):
        assert shown == str(value)
    else:
        assert (shown, type(shown)) == (value, type(shown))


def test_an_old_record_can_be_read() -> None:
    """Fields that were added since, at the end and with defaults, are filled in."""
    old = msgspec.msgpack.encode([1, 2, -3, ["MessagePoisoned", "desk", "SubmitOrders", "an error"]])
    event = decode_record(old).event
    assert (event.actor, event.client_order_id) == ("desk", "")


def test_a_broker_without_rules_is_written_as_it_was_before_there_were_any() -> None:
    """A session of an old journal can be read, and is written to the byte as it was: old traces stay what they are."""
    can = {
        "order_types": ["MARKET"],
        "times_in_force": ["DAY"],
        "native_replace": True,
        "excluded": [],
        "extended_hours": False,
    }
    old = msgspec.msgpack.encode([1, 2, -3, ["SessionConnected", "main", can]])
    record = decode_record(old)
    assert not record.event.capabilities.rules
    assert msgspec.msgpack.encode(record) == old


@pytest.mark.parametrize("damaged", [b"", b"\x94", msgspec.msgpack.encode([1, 2, 3, ["NoSuchEvent", "x"]])])
def test_what_is_no_record_is_refused(damaged: bytes) -> None:
    """Bytes that are no record, or a record of an unknown event, raise instead of becoming something else."""
    with pytest.raises(msgspec.MsgspecError):
        decode_record(damaged)
