"""What a person sees while a storm runs."""

from __future__ import annotations

import io

import pytest
from fake_world import FakeWorld

from ordersmith.simulation import presenting
from ordersmith.simulation.outcome import Total
from ordersmith.simulation.presenting import at_once, failure, watching
from ordersmith.simulation.runs import Run

RUN = Run(3, "storm", 2)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def seen(monkeypatch, out: io.StringIO) -> str:
    """Return what a storm of four seeds, of which one found something, writes while it runs."""
    monkeypatch.setattr(presenting.sys, "stderr", out)
    outcome = FakeWorld(3, "storm", 2).run()
    total = Total()
    with watching(4) as watcher:
        for done in range(1, 5):
            total.add(outcome)
            watcher.show(done, total)
        watcher.tell(at_once(RUN, outcome))
    return out.getvalue()


def test_a_terminal_has_a_bar(monkeypatch):
    """On a terminal a bar counts broker-hours and violations, and what is found stands above it."""
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "120")
    told = seen(monkeypatch, Terminal())
    assert "8 broker-hours, 48 violations" in told
    assert "100%" in told
    assert at_once(RUN, FakeWorld(3, "storm", 2).run()) in told


@pytest.mark.parametrize("has_rich", [True, False])
def test_elsewhere_only_what_is_found_is_written(monkeypatch, has_rich):
    """Without a terminal, or without rich on one, there is no bar: a line for each seed that finds something."""
    if not has_rich:
        monkeypatch.setattr(presenting, "find_spec", lambda _: None)
    told = seen(monkeypatch, io.StringIO() if has_rich else Terminal())
    assert told == "seed 3: I3 violated: ordersmith simulate --seed 3 --profile storm --hours 2\n"


def test_the_same_invariant_is_named_once():
    """A seed with twelve violations of one invariant names it once, shows ten, and counts the rest."""
    told = failure(RUN, FakeWorld(3, "storm", 2).run())
    assert told.startswith("Seed 3: I3 violated\n")
    assert told.count("I3 at ") == 10
    assert "  and 2 more\n" in told
