"""A long history folded into states before anybody begins, piece by piece: what a start needs of memory does not grow with it.

That is for a journal without a snapshot that this code can use, as after a new version. The states are what a snapshot at
that record would have been.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from decimal import localcontext
from itertools import islice
from typing import Any

from ..actors.actor import Actor, Record
from .commit import ENCODER
from .dispatcher import ARITHMETIC, Dispatcher
from .recovery import ORDERS, Memory

PIECE = 20_000
"""Records that are folded at a time; the last piece, or the last two, are left to the actors themselves."""


def condensed(
    dispatcher: Dispatcher,
    number: int,
    states: dict[str, bytes],
    records: Iterator[Record],
    history: Callable[[str], Iterable[bytes]],
) -> Memory:
    """Return what a journal holds, whose `states` are those as of the record `number` and whose `records` follow.

    A history that cannot be folded is returned as it is, so that the actor that cannot is found and quarantined.
    """
    piece, following = _taken(records), _taken(records)
    while following:
        try:
            states = _folded(dispatcher, states, piece)
        except Exception:  # noqa: BLE001 - whatever a fold raises is dealt with where actors are supervised
            return Memory(number, states, [*piece, *following, *records], history)
        number = piece[-1].number
        piece, following = following, _taken(records)
    return Memory(number, states, piece, history)


def _taken(records: Iterator[Record]) -> list[Record]:
    return list(islice(records, PIECE))


def _folded(dispatcher: Dispatcher, states: dict[str, bytes], records: list[Record]) -> dict[str, bytes]:
    """Return the states after these records."""
    actors: dict[str, Actor[Any]] = {}
    for cell in dispatcher.cells.values():
        actor: Actor[Any] = cell.spec.factory()
        if actor.folds and not actor.entity:
            actors[cell.name] = actor
            if cell.name in states:
                actor.restore(states[cell.name])
    with localcontext(ARITHMETIC):
        for actor in actors.values():
            folds = actor.folds
            for record in records:
                fold = folds.get(type(record.event))
                if fold is not None:
                    fold(actor, record.event, record)
    desk, gate = actors["desk"].state, actors["risk_gate"].state
    in_memory = dict.fromkeys([*desk.closed, *desk.quarantined, *gate.exposure.open])
    return {**{name: actor.snapshot() for name, actor in actors.items()}, ORDERS: ENCODER.encode(list(in_memory))}
