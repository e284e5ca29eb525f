"""`ordersmith simulate` as a person calls it: what it prints, what it refuses, and its exit status."""

from __future__ import annotations

import json
import sys

import pytest
from fake_world import EVENTS, put_in_place

from ordersmith import __main__ as entry
from ordersmith.simulation import running


@pytest.fixture
def world(monkeypatch):
    """The world in which seeds that end in 3 and 7 go wrong."""
    return put_in_place(monkeypatch)


@pytest.fixture
def simulate(monkeypatch, capsys, world):
    """Call the command in one process; return its status and what it wrote to both outputs."""

    def call(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["ordersmith", "simulate", *map(str, words)])
        try:
            status = entry.main()
        except SystemExit as exited:
            status = exited.code
        written = capsys.readouterr()
        return status, written.out, written.err

    return call


# --- Many seeds --------------------------------------------------------------------------------------------------------


def test_a_storm_without_a_violation_is_summed_up(simulate, world):
    """Hours, orders, events, faults by kind and crashes by actor and point are added up over the seeds that were asked for."""
    status, out, problems = simulate("--seeds", 3, "--start", 20, "--hours", 5, "--workers", 1, "--profile", "calm")
    assert (status, problems) == (0, "")
    assert world.made == [(seed, "calm", 5, (), False) for seed in (20, 21, 22)]
    lines = [" ".join(line.split()) for line in out.splitlines()]
    for expected in (
        "Broker-hours 15, of 3 seeds",
        "Orders 900",
        "Broker events 9,000",
        "Faults 12, of 2 kinds",
        "Crashes 9",
        "Boots 6",
        "Violations none",
        "answer lost 9",
        "killed 3",
        "before first effect",
        "order 0 3",
        "risk_gate 6 0",
    ):
        assert expected in lines
    assert "broker-hours an hour" in out


def test_a_violation_says_how_to_see_it_again(simulate):
    """The seed, the command that repeats it, the invariant, its options and its last hundred events are printed; the status is 1."""
    status, out, problems = simulate("--seeds", 5, "--start", 20, "--workers", 1, "--faults", "KILLED,answer_lost")
    again = "ordersmith simulate --seed 23 --profile storm --hours 4 --faults answer-lost,killed"
    assert status == 1
    assert f"again: {again} --trace FILE" in out
    assert "I3 at 2026-03-01T00:00:00.000000001Z: filled 0 of 3" in out
    assert "and 2 more" in out
    assert "options: answer lost 0.05" in out
    assert out.count("event ") == 100
    assert f"event {EVENTS - 1} of 23" in out
    assert problems == f"seed 23: I3 violated: {again}\n"


def test_the_faults_that_were_named_reach_the_world(simulate, world):
    """Names of faults are accepted in any case and handed on as the values of their kinds, each once."""
    simulate("--seeds", 1, "--workers", 1, "--faults", "KILLED, answer_lost,killed")
    assert world.made == [(0, "storm", 4, ("answer lost", "killed"), False)]


def test_a_run_that_raises_is_a_failure_with_a_seed(simulate):
    """An exception in a run is told with its traceback and its seed, its hours do not count, and the other seeds run."""
    status, out, problems = simulate("--seeds", 3, "--start", 26, "--hours", 2, "--workers", 1)
    assert status == 1
    assert "ZeroDivisionError: a bug" in out
    assert "event 249 of 27" in out
    assert "Broker-hours  4, of 3 seeds" in out
    assert "seed 27: run violated" in problems


def test_a_world_that_cannot_be_made_is_a_failure_too(simulate):
    """An exception before anything has happened is told with its seed."""
    status, out, problems = simulate("--seeds", 1, "--start", 9999, "--workers", 1)
    assert status == 1
    assert "LookupError: a world that cannot be" in out
    assert "seed 9999: run violated" in problems


def test_only_the_first_failures_are_told_in_full(simulate):
    """Of many seeds that found something all are named, and the events of five are printed."""
    status, out, problems = simulate("--seeds", 100, "--workers", 1)
    assert status == 1
    assert len(problems.splitlines()) == 20
    assert out.count("the last 100 events") == 5
    assert "seed 97: run violated: ordersmith simulate --seed 97" in out


def test_json_has_everything(simulate):
    """With --json one object stands alone on standard output, with the sums, and the seeds that found something."""
    status, out, _ = simulate("--seeds", 4, "--hours", 1, "--workers", 1, "--json")
    told = json.loads(out)
    assert status == 1
    assert (told["broker_hours"], told["orders"], told["faults"], told["violations"]) == (4, 240, 16, 12)
    assert told["faults_by_kind"] == {"answer lost": 12, "killed": 4}
    assert told["crashes_by_actor_and_point"] == {"order first effect": 4, "risk_gate before": 8}
    assert told["finished"] is True
    [found] = told["found"]
    assert (found["seed"], found["violations"][0]["invariant"], len(found["last"])) == (3, "I3", 100)
    assert found["again"] == "ordersmith simulate --seed 3 --profile storm --hours 1"


def test_new_seeds_run_until_the_time_is_up(simulate, world, monkeypatch):
    """--seconds draws a start from the clock, prints it, and begins no seed once the time has passed."""
    moments = iter(range(1000))
    monkeypatch.setattr(running.time, "monotonic", lambda: next(moments))
    monkeypatch.setattr(running.time, "time", lambda: 1_800_000_000.9)
    status, out, _ = simulate("--seconds", 12, "--workers", 1)
    seeds = [made[0] for made in world.made]
    assert seeds == list(range(1_800_000_000_000, 1_800_000_000_000 + len(seeds)))
    assert 4 <= len(seeds) <= 8
    assert "seeds from 1800000000000 on" in out
    assert status == 1  # one of them ends in 3


def test_ctrl_c_sums_up_what_has_run(simulate, world):
    """Ctrl-C prints the sums so far and the seed that was under way, with status 130."""
    world.interrupt_at = 2
    status, out, problems = simulate("--seeds", 9, "--workers", 1)
    assert status == 130
    assert "Broker-hours  8, of 2 seeds" in out
    assert problems == "Interrupted. Under way:\n  ordersmith simulate --seed 2 --profile storm --hours 4\n"


# --- One seed ----------------------------------------------------------------------------------------------------------


def test_one_seed_keeps_its_events(simulate, world, tmp_path):
    """--seed runs that seed alone with its events kept, writes each on a line of the trace, and prints the hash."""
    file = tmp_path / "events.txt"
    status, out, _ = simulate("--seed", 11, "--hours", 2, "--trace", file)
    assert status == 0
    assert world.made == [(11, "storm", 2, (), True)]
    assert f"Trace hash    {11:064x}" in out
    assert file.read_text(encoding="utf-8").splitlines() == [f"event {number} of 11" for number in range(EVENTS)]


def test_one_seed_that_fails_is_told_in_full(simulate):
    """A seed that breaks an invariant prints the last hundred of its events and ends with status 1, as JSON too."""
    status, out, _ = simulate("--seed", 13)
    assert status == 1
    assert out.count("event ") == 100
    status, out, _ = simulate("--seed", 13, "--json")
    told = json.loads(out)
    assert (status, told["seed"], len(told["last"]), told["trace_hash"]) == (1, 13, 100, f"{13:064x}")


# --- Misuse ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--seeds", "0"], "argument --seeds: '0' is not accepted; give a whole number from 1 on"),
        (["--hours", "1.5"], "argument --hours: '1.5' is not accepted; give a whole number from 1 on"),
        (["--seed", "-1"], "argument --seed: '-1' is not accepted; give a whole number from 0 on"),
        (["--profile", "gale"], "--profile gale: there is no such profile; accepted: calm, broker, "),
        (["--faults", "killed,rain"], "--faults rain: there is no such fault; accepted: answer-lost, "),
        (["--seed", "1", "--seeds", "4"], "--seeds 4: --seed runs one seed alone"),
        (["--seed", "1", "--seconds", "4"], "--seconds 4: --seed runs one seed alone"),
        (["--trace", "out.txt"], "--trace out.txt: only one seed's events are written; say which with --seed S"),
        (["--seeds", "4", "--seconds", "4"], "--seconds 4: --seeds says how many already"),
        (["--seed", "1", "--trace", "no/such/folder"], "--trace no/such/folder: it cannot be written: No such file"),
    ],
)
def test_misuse_names_the_option_and_what_is_accepted(simulate, world, words, told):
    """What is said wrongly ends with status 2 before anything runs, and the message names option, value and what is accepted."""
    status, out, problems = simulate(*words)
    assert (status, out) == (2, "")
    assert told in problems
    assert world.made == []
