"""The decisions of supervision as tables: who is restarted, how often, how soon, and when to give up. Nothing runs here."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ordersmith.actors.errors import ActorError
from ordersmith.supervisor.supervision import (
    Backoff,
    ChildSpec,
    Intensity,
    Restart,
    RestartStrategy,
    Supervisor,
    SupervisorSpec,
    Verdict,
    backoff_ns,
)

SECOND = 1_000_000_000
RESTART, STOP, QUARANTINE, ESCALATE = Verdict.RESTART, Verdict.STOP, Verdict.QUARANTINE, Verdict.ESCALATE


def spec_of(restart: Restart = Restart.PERMANENT) -> ChildSpec:
    return ChildSpec(id="child", factory=object, restart=restart)


def verdicts(spec: SupervisorSpec, crashes: list[tuple[str, int]], restart: Restart = Restart.PERMANENT) -> list[str]:
    supervisor = Supervisor(spec)
    return [supervisor.judge(name, spec_of(restart), at_ns) for name, at_ns in crashes]


@pytest.mark.parametrize(
    ("crashes", "expected"),
    [
        ([("a", 0)], [RESTART]),
        ([("a", 0), ("a", 1), ("a", 2)], [RESTART, RESTART, ESCALATE]),
        ([("a", 0), ("b", 1), ("c", 2)], [RESTART, RESTART, ESCALATE]),  # counted per supervisor
        ([("a", 1), ("a", 2), ("a", 11)], [RESTART, RESTART, ESCALATE]),  # the crash at 1 still counts at 11
        ([("a", 0), ("a", 1), ("a", 12)], [RESTART] * 3),
        ([("a", 0), ("a", 0), ("a", 11), ("a", 11), ("a", 11)], [RESTART] * 4 + [ESCALATE]),
        ([("a", at) for at in range(0, 100, 6)], [RESTART] * 17),
    ],
)
def test_a_supervisor_gives_up_beyond_its_intensity(crashes: list[tuple[str, int]], expected: list[Verdict]) -> None:
    """Two restarts within ten are allowed to all children together; the third crash within ten escalates."""
    assert verdicts(SupervisorSpec(id="s", intensity=Intensity(2, 10)), crashes) == expected


@pytest.mark.parametrize(
    ("crashes", "expected"),
    [
        ([("a", 0), ("a", 1), ("a", 2)], [RESTART, RESTART, QUARANTINE]),
        ([("a", 0), ("b", 1), ("c", 2), ("a", 3), ("b", 4)], [RESTART] * 5),
        ([("a", 0), ("a", 1), ("b", 2), ("a", 3), ("b", 4)], [RESTART, RESTART, RESTART, QUARANTINE, RESTART]),
        ([("a", 0), ("a", 1), ("a", 12)], [RESTART] * 3),
    ],
)
def test_crashes_may_be_counted_per_child(crashes: list[tuple[str, int]], expected: list[Verdict]) -> None:
    """Counted per child, a child beyond the intensity is quarantined, and the crashes of its siblings do not matter."""
    assert verdicts(SupervisorSpec(id="s", per_child=True, intensity=Intensity(2, 10)), crashes) == expected


@pytest.mark.parametrize("per_child", [False, True])
@pytest.mark.parametrize(
    ("restart", "expected"),
    [
        (Restart.PERMANENT, RESTART),
        (Restart.TRANSIENT, RESTART),
        (Restart.TEMPORARY, STOP),
    ],
)
def test_the_restart_type_decides_first(restart: Restart, expected: Verdict, per_child: bool) -> None:
    """A temporary child is stopped by its first crash, and its crash does not count; the others are restarted."""
    spec = SupervisorSpec(id="s", per_child=per_child)
    assert verdicts(spec, [("a", 0)], restart) == [expected]
    supervisor = Supervisor(spec)
    for at_ns in range(50):
        supervisor.judge("t", spec_of(Restart.TEMPORARY), at_ns)
    assert supervisor.judge("a", spec_of(), 50) is RESTART


def test_without_restarts_the_first_crash_escalates() -> None:
    """An intensity of 0 allows no restart."""
    assert verdicts(SupervisorSpec(id="s", intensity=Intensity(0)), [("a", 0)]) == [ESCALATE]


def test_a_child_that_is_forgotten_starts_anew() -> None:
    """A child that stopped for good is no child any more, and another of its name has a clean record."""
    supervisor = Supervisor(SupervisorSpec(id="s", per_child=True, intensity=Intensity(1, 10)))
    supervisor.children["a"] = None
    assert [supervisor.judge("a", spec_of(), at) for at in (0, 1)] == [RESTART, QUARANTINE]
    supervisor.forget("a")
    supervisor.forget("never there")
    assert "a" not in supervisor.children
    assert supervisor.judge("a", spec_of(), 2) is RESTART


@pytest.mark.parametrize(
    ("strategy", "failed", "expected"),
    [
        (RestartStrategy.ONE_FOR_ONE, "b", ["b"]),
        (RestartStrategy.ONE_FOR_ALL, "b", ["a", "b", "c", "d"]),
        (RestartStrategy.REST_FOR_ONE, "a", ["a", "b", "c", "d"]),
        (RestartStrategy.REST_FOR_ONE, "b", ["b", "c", "d"]),
        (RestartStrategy.REST_FOR_ONE, "d", ["d"]),
    ],
)
def test_the_strategy_says_who_is_restarted(strategy: RestartStrategy, failed: str, expected: list[str]) -> None:
    """It alone, all, or it and those that were started after it; always in the order of start."""
    supervisor = Supervisor(SupervisorSpec(id="s", strategy=strategy))
    supervisor.children = dict.fromkeys("abcd")
    assert supervisor.affected(failed) == expected


@pytest.mark.parametrize("strategy", [RestartStrategy.ONE_FOR_ALL, RestartStrategy.REST_FOR_ONE])
def test_a_dynamic_supervisor_is_one_for_one(strategy: RestartStrategy) -> None:
    """Children that come and go have no order to restart in, so another strategy is an error that names the supervisor."""
    with pytest.raises(ActorError, match=f"supervisor pool: a dynamic supervisor is one_for_one, not {strategy}"):
        Supervisor(SupervisorSpec(id="pool", strategy=strategy, template=spec_of()))


# --- Backoff ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("attempt", "full"),
    [(0, 1), (1, 2), (2, 4), (5, 32), (6, 60), (7, 60), (39, 60), (40, 60), (41, 60), (10**6, 60)],
)
def test_backoff_doubles_up_to_its_longest(attempt: int, full: int) -> None:
    """Without jitter the wait doubles from the first to the longest, at any number of attempts."""
    assert backoff_ns(Backoff(jitter=0.0), 0, "a", attempt) == full * SECOND


@given(
    seed=st.integers(0, 2**63),
    actor=st.text(max_size=20),
    attempt=st.integers(0, 100),
    jitter=st.floats(0, 1),
    first=st.integers(1, 10**10),
    factor=st.integers(1, 100),
)
def test_jitter_shortens_within_its_range(
    seed: int, actor: str, attempt: int, jitter: float, first: int, factor: int
) -> None:
    """The wait lies between the full one and the full one less the jitter, and is the same for the same arguments."""
    backoff = Backoff(first_ns=first, longest_ns=first * factor, jitter=jitter)
    wait = backoff_ns(backoff, seed, actor, attempt)
    full = backoff_ns(Backoff(first_ns=first, longest_ns=first * factor, jitter=0.0), seed, actor, attempt)
    assert full * (1 - jitter) - 1 <= wait <= full <= first * factor
    assert wait == backoff_ns(backoff, seed, actor, attempt)


def test_jitter_spreads() -> None:
    """Other seeds, actors and attempts wait differently, over the whole range and without a pattern."""
    backoff = Backoff(first_ns=SECOND, longest_ns=SECOND, jitter=0.5)
    waits = [backoff_ns(backoff, seed, actor, attempt) for seed in range(9) for actor in "ab" for attempt in range(20)]
    assert len(set(waits)) == len(waits)
    assert min(waits) < 0.52 * SECOND
    assert max(waits) > 0.98 * SECOND
    rises = sum(later > earlier for earlier, later in pairwise(waits))
    assert 0.4 < rises / len(waits) < 0.6


def test_a_backoff_is_pinned() -> None:
    """The wait is a function of its arguments for ever: a change of it would change the traces of old runs."""
    assert backoff_ns(Backoff(), 7, "broker/main", 3) == 7_721_374_243
