"""SIGHUP: what of a changed configuration a running service takes over.

A tighter limit is taken at once. A looser one needs a restart, so that nobody widens a limit to let one order through. All
else of the file is read at the start only. A change is judged field by field, and every limit forbids more the tighter
it is, so that `tightest` allows nothing that either of the two would refuse.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from typing import Any

import msgspec

from ..actors.machines.breaker import BreakerRules
from ..actors.machines.risk import Limits
from ..config import Settings
from ..config.kinds import Section
from ..config.problems import KeyPath, path_text, shown
from ..config.schema import shapes
from .from_settings import breaker_rules, limits

_UNBOUNDED = Decimal("Infinity")
_SECTIONS = ("risk", "breaker")


def _smaller(value: Decimal | int | None) -> Decimal:
    """A bound: the smaller it is the tighter, and None is no bound."""
    return _UNBOUNDED if value is None else Decimal(value)


def _longer(value: Decimal | None) -> Decimal:
    """A time that something is forbidden for: the longer the tighter, and None is for ever."""
    return -(_UNBOUNDED if value is None else value)


LOOSENESS: Mapping[str, Callable[[Any], Decimal]] = {
    "risk.max_order_quantity": _smaller,
    "risk.max_order_notional": _smaller,
    "risk.max_position_quantity": _smaller,
    "risk.max_gross_exposure": _smaller,
    "risk.price_collar": _smaller,
    "risk.duplicate_window": _longer,
    "breaker.rejections": _smaller,
    "breaker.window": _longer,
    "breaker.cooldown": _longer,
}
"""How loose a value of a limit is: of two the smaller is the tighter."""

Change = tuple[Any, Any]
"""What a setting was, and what the file says now."""


class LimitsChange(msgspec.Struct, frozen=True):
    """What has changed, by path: limits that are taken over, limits that are not, and what is no limit.

    `settings` is what holds from now on, and what the next change is compared with.
    """

    settings: Settings
    tightened: dict[str, Change]
    loosened: dict[str, Change]
    other: list[str]

    @property
    def limits(self) -> Limits:
        """What the gate allows from now on."""
        return limits(self.settings)

    @property
    def breaker_rules(self) -> BreakerRules:
        """When trading halts by itself from now on."""
        return breaker_rules(self.settings)

    def lines(self) -> Iterator[tuple[str, str]]:
        """Yield (level, sentence) for the log; where nothing has changed it says so."""
        for path, (old, new) in self.tightened.items():
            yield "info", f"{path}: {shown(old)} → {shown(new)}, from now on"
        for path, (old, new) in self.loosened.items():
            yield "warning", f"{path}: stays {shown(old)}; {shown(new)} is looser and needs a restart"
        if self.other:
            yield (
                "warning",
                f"ignored until a restart, since only tighter limits are taken over: {', '.join(self.other)}",
            )
        if not (self.tightened or self.loosened or self.other):
            yield "info", "nothing has changed"


def change(old: Settings, new: Settings) -> LimitsChange:
    """Compare the settings that hold with those that were read again."""
    tightened: dict[str, Change] = {}
    loosened: dict[str, Change] = {}
    for path, looseness in LOOSENESS.items():
        was, now = _in_effect(old, path, old), _in_effect(new, path, old)
        if looseness(now) != looseness(was):
            (tightened if looseness(now) < looseness(was) else loosened)[path] = (was, now)
    other = [path_text(path) for path in _changed(old, new) if path[0] not in _SECTIONS]
    return LimitsChange(_with(old, {path: now for path, (_, now) in tightened.items()}), tightened, loosened, other)


def tightest(old: Settings, new: Settings) -> Settings:
    """Return the settings that hold after a change: of every limit the tighter value, all else as it was."""
    return change(old, new).settings


def _in_effect(settings: Settings, path: str, running: Settings) -> Any:
    """Return a limit's value; one that is left to the mode has the value of the mode that runs."""
    section, key = path.split(".")
    if path == "risk.duplicate_window":
        return msgspec.structs.replace(settings, execution=running.execution).duplicate_window
    return getattr(getattr(settings, section), key)


def _with(settings: Settings, values: Mapping[str, Any]) -> Settings:
    for path, value in values.items():
        section, key = path.split(".")
        changed = msgspec.structs.replace(getattr(settings, section), **{key: value})
        settings = msgspec.structs.replace(settings, **{section: changed})
    return settings


def _changed(old: Section, new: Section, path: KeyPath = ()) -> Iterator[KeyPath]:
    """Yield the path of every setting that differs; a table or a list as one."""
    for key in shapes(type(old)):
        was, now = getattr(old, key), getattr(new, key)
        if isinstance(was, Section):
            yield from _changed(was, now, (*path, key))
        elif was != now:
            yield *path, key
