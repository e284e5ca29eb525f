"""How a bug is planted in the product while it runs, and taken out again without a trace.

A mutant is a function that is handed a `Patch` and changes through it what classes, modules and tables of the product hold. The
product knows nothing of it: whoever leaves `planted` finds everything as it was.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

from ordersmith.simulation import world

PRODUCT = "ordersmith."
JUDGE = "ordersmith.simulation.oracle"
TABLES = ("handlers", "folds")
MISSING: Any = object()

Wrap = Callable[[Any], Any]
"""Makes the function that stands in for another, given that other."""


class Patch:
    """Changes, and how they are taken back."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack

    def attribute(self, owner: Any, name: str, value: Any) -> None:
        """Set an attribute of a class or a module."""
        before = vars(owner).get(name, MISSING)
        setattr(owner, name, value)
        if before is MISSING:
            self._stack.callback(delattr, owner, name)
        else:
            self._stack.callback(setattr, owner, name, before)

    def item(self, table: MutableMapping[Any, Any], key: Any, value: Any) -> None:
        """Set an entry of a table; one that had none loses it again."""
        before = dict(table)
        table[key] = value

        def restore() -> None:
            table.clear()  # the order of the entries is the order in which they are looked at
            table.update(before)

        self._stack.callback(restore)

    def method(self, cls: type, name: str, wrap: Wrap) -> None:
        """Replace a method where it is defined, and where actors look up who handles a message or folds a record."""
        home = next(base for base in cls.__mro__ if name in vars(base))
        before = vars(home)[name]
        now = wrap(before)
        self.attribute(home, name, now)
        for heir in _family(home):
            for table in (vars(heir).get(each) for each in TABLES):
                if isinstance(table, dict):
                    for kind in [kind for kind, taken in table.items() if taken is before]:
                        self.item(table, kind, now)

    def getter(self, cls: type, name: str, wrap: Wrap) -> None:
        """Replace what a property returns."""
        before = vars(cls)[name]
        self.attribute(cls, name, property(wrap(before.fget)))

    def function(self, before: Callable[..., Any], wrap: Wrap) -> None:
        """Replace a function in every module of the product that has its name; the oracle keeps its own."""
        now = wrap(before)
        for module_name, module in list(sys.modules.items()):
            if module_name.startswith(PRODUCT) and not module_name.startswith(JUDGE):
                for name in [name for name, value in vars(module).items() if value is before]:
                    self.attribute(module, name, now)


def _family(cls: type) -> Iterator[type]:
    yield cls
    for heir in cls.__subclasses__():
        yield from _family(heir)


class Mutant(NamedTuple):
    """A bug, and the storm that shows it.

    `faults` are the only ones that its seeds have, if any are named; without them the profile says which. `world` are constants
    of the simulated world that are others in that storm, with the bug and without it.
    """

    name: str
    meaning: str
    plant: Callable[[Patch], None]
    profile: str = "storm"
    faults: tuple[str, ...] = ()
    world: Mapping[str, Any] = {}


MUTANTS: dict[str, Mutant] = {}
"""Every bug by name, in the order of the files that plant them."""


def mutant(
    meaning: str, *, profile: str = "storm", faults: tuple[str, ...] = (), world: Mapping[str, Any] | None = None
) -> Callable[[Callable[[Patch], None]], Callable[[Patch], None]]:
    """Enter a bug in the table, called like the function that plants it."""

    def enter(plant: Callable[[Patch], None]) -> Callable[[Patch], None]:
        name = plant.__name__.replace("_", "-")
        MUTANTS[name] = Mutant(name, meaning, plant, profile, faults, world or {})
        return plant

    return enter


@contextmanager
def planted(bug: Mutant) -> Iterator[None]:
    """Have a bug in the product."""
    with ExitStack() as stack:
        bug.plant(Patch(stack))
        yield


@contextmanager
def weather(bug: Mutant) -> Iterator[None]:
    """Have the world of a bug, without the bug."""
    with ExitStack() as stack:
        for name, value in bug.world.items():
            Patch(stack).attribute(world, name, value)
        yield
