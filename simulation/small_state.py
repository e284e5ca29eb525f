"""What a state of the small model is, what bounds it, and what a step leads to."""

from __future__ import annotations

from typing import NamedTuple

import msgspec


class Bounds(msgspec.Struct, frozen=True):
    """How often what may go wrong does, at most.

    `waiting` ticks may wait for the disk at once. Time passes for `seconds`, and only while no more than `under_way`
    messages are, a new order not counted: so many may be arbitrarily late.
    """

    lost: int = 1
    doubled: int = 1
    crashes: int = 1
    disconnects: int = 0
    cancels: int = 1
    reads: int = 0
    waiting: int = 2
    under_way: int = 0
    seconds: int = 2


class Left(NamedTuple):
    """What may still happen."""

    lost: int
    doubled: int
    crashes: int
    disconnects: int
    cancels: int
    reads: int


class State(NamedTuple):
    """All there is. Folded states, timers, messages and truths go by number; `wire` and `reports` are sorted.

    `waiting` are the ticks that are not durable: each the state as of its end, and the commands that rest on it. `port` is
    what was let out and is not written. `written` counts how often the new order was.
    """

    now_ns: int
    folded: int
    timers: int
    durable: int
    waiting: tuple[tuple[int, tuple[int, ...]], ...]
    port: tuple[int, ...]
    wire: tuple[int, ...]
    reports: tuple[int, ...]
    truth: int
    written: int
    left: Left


class Step(NamedTuple):
    """What happens, and what is so after it. `problem` is what must not be."""

    name: str
    what: int
    state: State
    problem: str


def without(bag: tuple[int, ...], word: int) -> tuple[int, ...]:
    """Return a bag with one of these words less."""
    at = bag.index(word)
    return bag[:at] + bag[at + 1 :]


def with_one(bag: tuple[int, ...], word: int) -> tuple[int, ...]:
    """Return a bag with one of these words more."""
    return tuple(sorted((*bag, word)))
