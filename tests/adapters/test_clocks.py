"""The clock of a live core: it follows the wall forwards, never back, and says when time has jumped."""

from __future__ import annotations

import pytest

from ordersmith.adapters.clocks import SECOND_NS, WallClock

BOOT_NS = 1_700_000_000 * SECOND_NS


class Machine:
    """An operating system's two clocks."""

    def __init__(self) -> None:
        self.wall_ns, self.monotonic_ns = BOOT_NS, 5 * SECOND_NS

    def pass_by(self, seconds: float) -> None:
        self.wall_ns += int(seconds * SECOND_NS)
        self.monotonic_ns += int(seconds * SECOND_NS)

    def clock(self) -> WallClock:
        return WallClock(lambda: self.wall_ns, lambda: self.monotonic_ns)


def test_it_runs_with_the_machine() -> None:
    """Its time is the wall's, and how long to wait is what is left until then, never less than nothing."""
    machine = Machine()
    clock = machine.clock()
    machine.pass_by(3)
    assert clock.now_ns() == BOOT_NS + 3 * SECOND_NS
    assert clock.seconds_until(BOOT_NS + 5 * SECOND_NS) == 2.0
    assert clock.seconds_until(BOOT_NS) == 0.0
    assert clock.stepped() == 0.0


@pytest.mark.parametrize("seconds", [3600.0, 5.0])
def test_a_step_forwards_is_followed_and_told_once(seconds: float) -> None:
    """The machine slept, or somebody set its clock: the clock goes along."""
    machine = Machine()
    clock = machine.clock()
    machine.wall_ns += int(seconds * SECOND_NS)
    assert clock.now_ns() == machine.wall_ns
    assert clock.stepped() == seconds
    clock.now_ns()
    assert clock.stepped() == 0.0


def test_it_goes_on_from_where_another_has_ended() -> None:
    """The clock was wrong in the process before, and was set right: what is written down now is not from before what was."""
    machine = Machine()
    clock = machine.clock()
    clock.go_on_from(BOOT_NS + 3600 * SECOND_NS)
    machine.pass_by(2)
    assert clock.now_ns() == BOOT_NS + 3602 * SECOND_NS
    assert clock.seconds_until(BOOT_NS + 3610 * SECOND_NS) == 8.0
    assert clock.stepped() == 0.0
    clock.go_on_from(BOOT_NS)
    assert clock.now_ns() == BOOT_NS + 3602 * SECOND_NS


def test_a_step_back_is_told_and_not_followed() -> None:
    """Records stay in order and timers go on: time passes as before."""
    machine = Machine()
    clock = machine.clock()
    before = clock.now_ns()
    machine.wall_ns -= 3600 * SECOND_NS
    assert clock.now_ns() == before
    assert clock.stepped() == -3600.0
    machine.pass_by(1)
    assert clock.now_ns() == before + SECOND_NS
    assert clock.stepped() == 0.0


def test_small_corrections_are_no_step() -> None:
    """What a time service corrects is less than a step."""
    machine = Machine()
    clock = machine.clock()
    machine.wall_ns += SECOND_NS
    clock.now_ns()
    assert clock.stepped() == 0.0
