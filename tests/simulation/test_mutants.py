"""Planted bugs come and go without a trace, and the storm finds those that are soon seen."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import storm_mutants
from storm_mutants_planting import MUTANTS, Mutant, Patch, planted

SOON = {
    "dedupe-removed": "I4",
    "retry-on-timeout": "I1",
    "not-found-read-as-rejected": "I2",
    "ready-at-connect": "I9",
    "effect-released-before-the-commit": "I8",
    "records-folded-twice": "I11",
    "halt-does-not-stop-entries": "I14",
}
"""Bugs that one seed shows, and an invariant that does not hold with them."""


def parts() -> Iterator[tuple[str, Any]]:
    """Yield everything of the product that a patch could reach: modules, their classes, and the entries of tables in both."""
    for name, module in sorted(sys.modules.items()):
        if name.startswith("ordersmith."):
            for holder in (module, *(value for value in vars(module).values() if isinstance(value, type))):
                yield f"{name} {holder}", holder


def everything() -> dict[str, Any]:
    """Return the product's contents by where they are."""
    found: dict[str, Any] = {}
    for where, holder in parts():
        for name, value in list(vars(holder).items()):
            found[f"{where} {name}"] = value
            if isinstance(value, dict) and not name.startswith("__"):
                found[f"{where} {name} entries"] = list(value.items())
    return found


def different(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """Return where the product is not what it was."""
    return [
        where
        for where in before.keys() | after.keys()
        if where not in before
        or where not in after
        or (before[where] is not after[where] and not where.endswith("entries"))
        or (where.endswith("entries") and before[where] != after[where])
    ]


@pytest.mark.parametrize("bug", MUTANTS.values(), ids=list(MUTANTS))
def test_a_mutant_changes_the_product_and_leaves_no_trace(bug: Mutant) -> None:
    """Inside, something of the product is another; outside, everything is what it was."""
    before = everything()
    with planted(bug):
        assert different(before, everything())
    assert different(before, everything()) == []


def test_a_mutant_is_taken_out_when_the_run_breaks_off() -> None:
    """An exception leaves no more of it than an end does."""
    before = everything()
    with pytest.raises(ZeroDivisionError), planted(MUTANTS["dedupe-removed"]):
        raise ZeroDivisionError
    assert different(before, everything()) == []


def test_a_mutant_that_cannot_be_planted_whole_is_taken_out() -> None:
    """What was changed before the failure is changed back."""

    def halfway(patch: Patch) -> None:
        MUTANTS["dedupe-removed"].plant(patch)
        raise ZeroDivisionError

    before = everything()
    with pytest.raises(ZeroDivisionError), planted(Mutant("halfway", "", halfway)):
        pass
    assert different(before, everything()) == []


def test_a_handler_is_replaced_where_actors_look_it_up() -> None:
    """The tables of the class that has the method, and of all that inherit it, name the other."""
    watched = importlib.import_module("ordersmith.actors.order_watch").WatchedOrder
    executed = importlib.import_module("ordersmith.actors.ports").Executed
    before = watched.handlers[executed]
    with planted(MUTANTS["bust-ignored"]):
        assert watched.handlers[executed] is watched.executed is not before
    assert watched.handlers[executed] is watched.executed is before


def test_there_are_as_many_mutants_as_promised() -> None:
    """Thirty at least, and each says what it is in words of its own."""
    assert len(MUTANTS) >= 30
    assert len({bug.meaning for bug in MUTANTS.values()}) == len(MUTANTS)


@pytest.mark.parametrize(("name", "invariant"), SOON.items(), ids=list(SOON))
def test_the_storm_finds_a_mutant(name: str, invariant: str) -> None:
    """Within a few broker-hours the invariant that it breaks does not hold, and holds without it."""
    found = storm_mutants.hunt(name, 24, 1)
    assert invariant in found.caught_by, found.text


def test_a_seed_with_a_fault_of_its_own_catches_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is violated without the bug, too, says nothing about it."""
    real = storm_mutants.storm

    def storm(bug: Mutant, seed: int) -> Any:
        with planted(MUTANTS["dedupe-removed"]):
            return real(bug, seed)

    monkeypatch.setattr(storm_mutants, "storm", storm)
    found = storm_mutants.hunt("bust-ignored", 8, 1)
    assert found.caught_by == ()
    assert found.unsure == 2


def test_an_exception_catches_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A storm that breaks off says nothing about the oracle."""

    def broken(patch: Patch) -> None:
        patch.method(importlib.import_module("ordersmith.supervisor.core").Core, "tick", lambda _: lambda *__: 1 / 0)

    monkeypatch.setitem(MUTANTS, "broken", Mutant("broken", "", broken))
    found = storm_mutants.hunt("broken", 8, 1)
    assert found.caught_by == ()
    assert found.broken_off == 2


def hunting(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """Run the command line with these arguments and return its exit status."""
    monkeypatch.setattr(sys, "argv", ["storm_mutants.py", "--workers", "1", *arguments])
    return storm_mutants.main()


def test_the_table_names_what_caught_a_mutant(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A line has the bug, the invariants, the broker-hours and the seed; with every bug caught the exit status is 0."""
    assert hunting(monkeypatch, "retry-on-timeout", "--hours", "24") == 0
    _, line, *_, sum_ = capsys.readouterr().out.splitlines()
    assert line.split()[:2] == ["retry-on-timeout", "I1,"]
    assert sum_ == "1 of 1 mutants are caught"


def test_a_mutant_that_survives_fails(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """One that is not found in time is named, and the exit status is 1."""
    assert hunting(monkeypatch, "bust-ignored", "--hours", "0") == 1
    out = capsys.readouterr().out
    assert "SURVIVES" in out
    assert out.splitlines()[-1] == "0 of 1 mutants are caught; bust-ignored survive"


def test_a_name_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """It says where the names are."""
    with pytest.raises(SystemExit):
        hunting(monkeypatch, "no-such-bug")
    assert "no-such-bug: no such mutant; --list shows them" in capsys.readouterr().err


def test_a_world_of_its_own_is_had_with_a_bug_and_without_it() -> None:
    """What a storm is tuned to is no difference between the two, and ends with them."""
    world = importlib.import_module("ordersmith.simulation.world")
    bug, usual = MUTANTS["position-limit-off"], world.LIMITS
    with storm_mutants.weather(bug):
        assert world.LIMITS is bug.world["LIMITS"] is not usual
    assert world.LIMITS is usual
