"""The last moments of a process: nobody waits for what is abandoned, and Ctrl-C ends what is left without a word."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import pytest

ABANDONED = """
import time
import anyio

async def main():
    with anyio.move_on_after(0.05):
        await anyio.to_thread.run_sync(time.sleep, 60, abandon_on_cancel=True)

anyio.run(main, backend={backend!r})
"""
STUBBORN = """
import threading, time
threading.Thread(target=time.sleep, args=({seconds},)).start()
"""
RELUCTANT = """
import signal, threading, time
def wait():
    while signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        time.sleep(0.01)
    print("waiting", flush=True)
    time.sleep(60)
threading.Thread(target=wait).start()
"""
END = """
import atexit, sys
from ordersmith.supervisor.process_end import at_its_end
atexit.register(print, "in order")
print("done")
sys.exit(at_its_end(7))
"""


def process(code: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_an_abandoned_thread_holds_up_nothing(backend: str) -> None:
    """The process ends with its status, long before the thread would, and what was printed is there."""
    began = time.monotonic()
    out, err = process(ABANDONED.format(backend=backend) + END).communicate(timeout=50)
    assert (out.splitlines()[0], err) == ("done", "")
    assert time.monotonic() - began < 40


def test_its_status_is_the_one_given() -> None:
    """Also where it ends at once, and where nothing is left and it ends as every process does."""
    for code in (ABANDONED.format(backend="asyncio"), ""):
        ended = process(code + END)
        ended.communicate(timeout=50)
        assert ended.returncode == 7


def test_other_threads_are_waited_for() -> None:
    """A thread of somebody else may have work to end, as everywhere in Python."""
    out, err = process(STUBBORN.format(seconds=1) + END).communicate(timeout=50)
    assert (out.splitlines(), err) == (["done", "in order"], "")


def test_ctrl_c_breaks_the_wait_off() -> None:
    """There is no traceback, and the status says by what it was broken off."""
    stubborn = process(RELUCTANT + END)
    assert stubborn.stdout is not None
    while stubborn.stdout.readline() != "waiting\n":
        assert stubborn.poll() is None
    stubborn.send_signal(signal.SIGINT)
    _, err = stubborn.communicate(timeout=50)
    assert (stubborn.returncode, err) == (128 + signal.SIGINT, "")
