"""Named points at which a test has a process killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from ordersmith.adapters.crash_points import armed, crash_point

PASSES = """
from ordersmith.adapters.crash_points import crash_point
for number in range(1, 6):
    print(number, flush=True)
    crash_point("here:now")
    crash_point("elsewhere")
"""


def passes(text: str | None) -> tuple[int, list[bytes]]:
    """Pass two points five times in a process of its own, and return its status and what it said."""
    environment = {name: value for name, value in os.environ.items() if name != "ORDERSMITH_CRASH"}
    if text is not None:
        environment["ORDERSMITH_CRASH"] = text
    done = subprocess.run([sys.executable, "-c", PASSES], env=environment, capture_output=True, check=False)
    return done.returncode, done.stdout.split()


@pytest.mark.parametrize(
    ("text", "status", "passed"),
    [
        (None, 0, 5),
        ("here:now:3", -signal.SIGKILL, 3),
        ("here:now:1", -signal.SIGKILL, 1),
        ("here:now:6", 0, 5),
        ("there:1", 0, 5),
    ],
)
def test_a_process_is_killed_at_the_point_that_is_armed(text: str | None, status: int, passed: int) -> None:
    """The point of that name ends the process at that passing, and no other does."""
    assert passes(text) == (status, [b"%d" % number for number in range(1, passed + 1)])


@pytest.mark.parametrize("text", ["name", "name:", ":3", "name:0", "name:x", "name:-1"])
def test_what_names_no_point_is_refused(text: str) -> None:
    """A variable that cannot be understood is an error and not a run without a crash."""
    with pytest.raises(ValueError, match="give name:count"):
        armed(text)


def test_points_cost_nothing_by_default() -> None:
    """Without the variable no point does anything."""
    assert armed(None) == armed("") == {}
    crash_point("anything")
