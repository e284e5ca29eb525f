"""Points at which a test has this process killed, as by a power cut of its own: `ORDERSMITH_CRASH=name:count`.

The process kills itself, with SIGKILL, when it passes the point of that name for the count-th time. Nothing is flushed, no
`finally` runs. Without the variable, which is read once, a point costs a look into an empty dict.
"""

from __future__ import annotations

import os
import signal

VARIABLE = "ORDERSMITH_CRASH"


def armed(text: str | None) -> dict[str, int]:
    """Return how often the point that `text` names is to be passed. Raises ValueError for what is no `name:count`."""
    if not text:
        return {}
    name, _, count = text.rpartition(":")
    if not (name and count.isdecimal() and int(count)):
        raise ValueError(f"{VARIABLE}: {text!r} names no crash point; give name:count, such as journal:committed:3")
    return {name: int(count)}


_left = armed(os.environ.get(VARIABLE))


def is_armed() -> bool:
    """Tell whether there is a point to come: for whoever would have to look for the names of the points that it passes."""
    return bool(_left)


def crash_point(name: str) -> None:
    """Pass the point `name`, perhaps for the last time."""
    if name in _left:
        _left[name] -= 1
        if not _left[name]:
            os.kill(os.getpid(), signal.SIGKILL)
