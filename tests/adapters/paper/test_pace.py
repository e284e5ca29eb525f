"""Data time and turns, by a wall clock that the test moves."""

from __future__ import annotations

from fractions import Fraction

import anyio
import anyio.lowlevel
import pytest
from paper_kit import Wall

from ordersmith.adapters.paper.pace import DataClock, Turns

SECOND_NS = 1_000_000_000
BEGIN_NS = 1_700_000_000 * SECOND_NS


@pytest.fixture
def wall() -> Wall:
    return Wall()


def test_time_stands_still_until_it_is_set(wall: Wall) -> None:
    """Without a speed the clock follows nobody but who sets it, and waiting brings no later time."""
    clock = DataClock(BEGIN_NS, wall)
    wall.ns += 5 * SECOND_NS
    assert clock.now_ns() == BEGIN_NS
    assert clock.seconds_until(BEGIN_NS) == 0.0
    assert clock.seconds_until(BEGIN_NS + 1) is None
    clock.set(BEGIN_NS + 7)
    assert clock.now_ns() == BEGIN_NS + 7
    assert clock.stepped() == 0.0


def test_time_never_goes_back(wall: Wall) -> None:
    """Setting an earlier time changes nothing."""
    clock = DataClock(BEGIN_NS, wall)
    clock.set(BEGIN_NS - 1)
    assert clock.now_ns() == BEGIN_NS


@pytest.mark.parametrize("speed", [Fraction(1), Fraction(60), Fraction(1, 2), Fraction(390, 7)])
def test_time_runs_at_a_speed(wall: Wall, speed: Fraction) -> None:
    """Data time passes so many times as fast as the wall, exactly, and the wait for a time is that much shorter."""
    clock = DataClock(BEGIN_NS, wall)
    clock.run(speed)
    wall.ns += 70 * SECOND_NS
    assert clock.now_ns() == BEGIN_NS + int(70 * SECOND_NS * speed)
    assert clock.seconds_until(clock.now_ns() + int(SECOND_NS * speed)) == pytest.approx(1.0)
    clock.stop()
    wall.ns += SECOND_NS
    assert clock.now_ns() == BEGIN_NS + int(70 * SECOND_NS * speed)


def test_time_waits_at_a_limit(wall: Wall) -> None:
    """At its limit the clock stands, to the nanosecond, however late somebody looks; then it goes on from there."""
    clock = DataClock(BEGIN_NS, wall)
    limit_ns = BEGIN_NS + 3 * SECOND_NS
    clock.run(Fraction(2), limit_ns)
    assert clock.seconds_until(limit_ns) == pytest.approx(1.5)
    assert clock.seconds_until(limit_ns + 1) is None
    wall.ns += 10 * SECOND_NS
    assert clock.now_ns() == limit_ns
    clock.run(Fraction(2), limit_ns + 2 * SECOND_NS)
    assert clock.now_ns() == limit_ns
    wall.ns += SECOND_NS // 2
    assert clock.now_ns() == limit_ns + SECOND_NS


def test_a_limit_in_the_past_does_not_turn_time_back(wall: Wall) -> None:
    """A clock that is ahead of its limit stands where it is."""
    clock = DataClock(BEGIN_NS, wall)
    clock.run(Fraction(1), BEGIN_NS - 5)
    wall.ns += SECOND_NS
    assert clock.now_ns() == BEGIN_NS


def test_who_waits_is_told_that_the_clock_moved(wall: Wall) -> None:
    """Every change of the clock that makes an earlier answer wrong is announced."""
    clock, told = DataClock(BEGIN_NS, wall), []
    clock.moved = lambda: told.append(clock.now_ns() - BEGIN_NS)
    clock.set(BEGIN_NS + 5)
    clock.run(Fraction(1))
    clock.stop()
    assert told == [5, 5, 5]


@pytest.mark.anyio
async def test_turns_come_by_themselves_without_a_reader() -> None:
    """Nobody reads, so nobody is waited for."""
    turns = Turns()
    with anyio.fail_after(5):
        for _ in range(3):
            await turns.wait()
            turns.take()


@pytest.mark.anyio
async def test_a_reader_is_waited_for() -> None:
    """With readers each turn waits until all of them have asked; one that leaves is waited for no longer."""
    turns, came = Turns(), []

    async def take() -> None:
        while True:
            await turns.wait()
            turns.take()
            came.append(len(came) + 1)
            await anyio.lowlevel.checkpoint()
            if not turns._readers:
                return

    turns.attach()
    turns.attach()
    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            group.start_soon(take)
            for asks, expected in ((1, []), (1, [1]), (2, [1, 2])):
                for _ in range(asks):
                    turns.ask()
                await anyio.wait_all_tasks_blocked()
                assert came == expected
            turns.detach()
            await anyio.wait_all_tasks_blocked()
            assert came == [1, 2]
            turns.ask()
            await anyio.wait_all_tasks_blocked()
            assert came == [1, 2, 3]
            turns.detach()


def test_what_was_asked_for_before_a_reader_left_is_not_asked_for_by_the_next() -> None:
    """A reader that comes anew is waited for, whatever the one before had asked for."""
    turns = Turns()
    turns.attach()
    turns.ask()
    assert turns.is_free
    turns.detach()
    turns.attach()
    assert not turns.is_free
