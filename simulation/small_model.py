"""The exhaustive small model: every state that one order can come to, with the real actors, visited once each.

Where the storm draws, this leaves nothing out: breadth first, every step from every state, so that what is found first is
also the shortest way to it. Of every state in which nothing is under way it is also asked how it ends when nothing goes
wrong any more. `python -m ordersmith.simulation.small_model --help` says what can be bounded.
"""

from __future__ import annotations

import argparse
import sys
from array import array
from collections.abc import Sequence
from decimal import localcontext
from itertools import starmap

import msgspec

from ..supervisor.dispatcher import ARITHMETIC
from .small_rules import SmallRules
from .small_state import Bounds, State, Step
from .small_telling import told
from .small_world import SmallWorld

PATIENCE = 200
"""How many steps a state may take to come to rest when nothing goes wrong any more: some minutes of look-ups are fewer."""

ENCODER = msgspec.msgpack.Encoder()
DECODER = msgspec.msgpack.Decoder(State)


class Explored(msgspec.Struct, frozen=True):
    """What was visited. `rests` are the states with nothing under way; `ticks` are the different turns of the real actors.

    `broken` is what does not hold, and `trace` the shortest way to it, a step a line; it is "" when everything holds.
    `is_complete` says that nothing was left out.
    """

    states: int
    transitions: int
    depth: int
    rests: int
    ticks: int
    is_complete: bool = True
    broken: str = ""
    trace: tuple[str, ...] = ()

    def __str__(self) -> str:
        counts = (
            f"{self.states:,} states, {self.transitions:,} transitions, depth {self.depth}, "
            f"{self.rests:,} states of rest, {self.ticks:,} different ticks of the actors"
        )
        if self.broken:
            return "\n".join((*self.trace, f"violated: {self.broken}", counts))
        return f"{counts}: {'all hold' if self.is_complete else 'all hold so far, and there are more'}"


class SmallModel:
    """One exploration."""

    def __init__(self, bounds: Bounds, world: SmallWorld | None = None) -> None:
        self.world = world or SmallWorld(bounds)
        self.rules = SmallRules(self.world)
        self.transitions = 0
        self.depth = 0
        self._rests: set[bytes] = set()
        self._visited: dict[bytes, int] = {}
        self._parents = array("I")

    def explore(self, at_most: int | None = None) -> Explored:
        """Visit every state, or `at_most` so many, until something does not hold."""
        with localcontext(ARITHMETIC):
            begin = self.world.begin()
            self._visit(begin, 0)
            wrong = self.rules.broken(begin) or self._badly_ended(begin)
            if wrong:
                return self._explored(wrong, (told(self.world, begin),))
            frontier = [key_of(begin)]
            while frontier:
                if at_most is not None and len(self._visited) >= at_most:
                    return self._explored(is_complete=False)
                found = self._expand(frontier)
                if isinstance(found, Explored):
                    return found
                frontier = found
                self.depth += bool(frontier)
            return self._explored()

    def _expand(self, frontier: list[bytes]) -> list[bytes] | Explored:
        """Return the states that are one step further, or what is wrong with one of them."""
        new: list[bytes] = []
        for key in frontier:
            parent = self._visited[key]
            for step in self.world.steps(DECODER.decode(key)):
                self.transitions += 1
                if step.problem:
                    return self._found(step.problem, parent, step)
                reached = self._visit(step.state, parent)
                if reached is not None:
                    wrong = self.rules.broken(step.state) or self._badly_ended(step.state)
                    if wrong:
                        return self._found(wrong, parent, step)
                    new.append(reached)
        return new

    def _visit(self, state: State, parent: int) -> bytes | None:
        """Take note of a state and return its key, None if it was met before."""
        key, number = key_of(state), len(self._visited)
        if self._visited.setdefault(key, number) != number:
            return None
        self._parents.append(parent)
        return key

    # --- What has come to rest -------------------------------------------------------------------------------------------

    def _badly_ended(self, state: State) -> str:
        """Return what is wrong with how a state ends that has nothing under way, when nothing goes wrong from there on."""
        if state.waiting or state.port or state.wire or state.reports:
            return ""
        passed: list[bytes] = []
        for _ in range(PATIENCE):
            key = key_of(state)
            unrest = "" if key in self._rests else self.rules.unsettled(state)
            passed.append(key)
            if not unrest:
                self._rests.update(passed)
                return ""
            step = self.world.next_by_itself(state, is_patient=True)
            if step is None:
                return unrest
            state = step.state
            wrong = step.problem or self.rules.broken(state)
            if wrong:
                return f"{wrong} ({told(self.world, state)})"
        return f"I18: not at rest after {PATIENCE} quiet steps: {unrest} ({told(self.world, state)})"

    # --- What is said ----------------------------------------------------------------------------------------------------

    def _explored(self, broken: str = "", trace: tuple[str, ...] = (), *, is_complete: bool = True) -> Explored:
        counts = (len(self._visited), self.transitions, self.depth, len(self._rests), self.world.core.ticks)
        return Explored(*counts, is_complete and not broken, broken, trace)

    def _found(self, broken: str, parent: int, last: Step) -> Explored:
        """Return what does not hold, with the shortest way there, found again step by step."""
        keys = list(self._visited)
        numbers = [parent]
        while numbers[-1]:
            numbers.append(self._parents[numbers[-1]])
        state = self.world.begin()
        lines = [f"begin: {told(self.world, state)}"]
        for number in reversed(numbers[:-1]):
            step = next(step for step in self.world.steps(state) if key_of(step.state) == keys[number])
            lines.append(_line(self.world, step))
            state = step.state
        lines.append(_line(self.world, last))
        return self._explored(broken, tuple(starmap("{:>3} {}".format, enumerate(lines))))


def key_of(state: State) -> bytes:
    """Return what a state is known by."""
    return ENCODER.encode(state)


def _line(world: SmallWorld, step: Step) -> str:
    what = world.core.words.things[step.what] if step.what < len(world.core.words.things) else ""
    name = type(what).__name__ if step.name not in NAMELESS else ""
    return f"{step.name}{': ' if name else ''}{name} → {told(world, step.state)}"


NAMELESS = ("durable", "a timer", "the broker fills")


def main(arguments: Sequence[str] | None = None) -> int:
    """Explore within the bounds that are given, print the counts, and return 1 if something does not hold."""
    parser = argparse.ArgumentParser(prog="python -m ordersmith.simulation.small_model", description=__doc__)
    for field in msgspec.structs.fields(Bounds):
        parser.add_argument(f"--{field.name}", type=int, default=field.default, help=f"default {field.default}")
    parser.add_argument("--at-most", type=int, default=None, help="stop after so many states")
    given = vars(parser.parse_args(arguments))
    at_most = given.pop("at_most")
    explored = SmallModel(Bounds(**given)).explore(at_most)
    sys.stdout.write(f"{explored}\n")
    return 1 if explored.broken else 0


if __name__ == "__main__":
    raise SystemExit(main())
