"""The end of the process that the command line is, when all that it had to do is done.

Python waits for threads before it ends. One that still waits for an answer that nobody wants any more (a broker's, abandoned when the
session ended) would hold the process up for seconds after it has said that it has stopped, and Ctrl-C in that time ends in an
"Exception ignored".
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time
from contextlib import suppress
from types import FrameType

ABANDONED = "AnyIO worker thread"
"""What anyio calls the threads of `to_thread.run_sync` on asyncio; on trio they are daemons, which nobody waits for."""

GRACE_S = 0.2
"""What threads without work need to end."""


def at_its_end(status: int) -> int:
    """Return the exit status, or end the process with it if only abandoned threads are left.

    Threads of others are waited for, as Python does; Ctrl-C breaks that wait off. Only the main thread may call it, last of all.
    """
    signal.signal(signal.SIGINT, _leave)
    ends_at = time.monotonic() + GRACE_S
    for thread in _left():
        thread.join(max(ends_at - time.monotonic(), 0))
    left = _left()
    if left and all(thread.name == ABANDONED for thread in left):
        _flush()
        os._exit(status)
    return status


def _left() -> list[threading.Thread]:
    """Return the threads that Python waits for."""
    threads = threading.enumerate()
    return [thread for thread in threads if not thread.daemon and thread is not threading.main_thread()]


def _leave(number: int, frame: FrameType | None) -> None:
    _flush()
    os._exit(128 + number)


def _flush() -> None:
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):  # closed, or nobody reads it any more
            stream.flush()
