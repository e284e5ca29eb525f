"""The process that is killed: a local paper account, a hosted strategy, and the data to their end.

    python tests/crash/trader.py FOLDER WAY BACKEND [--count FILE] [--stop-at BAR [--then POINT:COUNT]]

WAY is `executor`, an executor in a program, or `service`, that is `ordersmith run`. It ends with status 0 when the data are over
and everything is settled; `ORDERSMITH_CRASH` has it killed before that. `--count` writes down how often each crash point was
passed, instead. `--stop-at` has the process stopped by SIGTERM at the end of a bar, and arms a point for the stop.

    python tests/crash/trader.py serve

Reads requests from its input, a line of JSON each: `options` as above, `crash` as in the environment, and the file that takes what
the process says. Each is carried out by a process of its own, which has not to begin with imports; its exit status is the answer.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import traceback
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import anyio
import trio  # noqa: F401 - so that it need not be imported by every process

from ordersmith.adapters import crash_points
from ordersmith.supervisor import run_command, service  # noqa: F401 - likewise
from ordersmith.supervisor.cli import main as ordersmith
from ordersmith.supervisor.live_executor import LiveExecutor

TOO_LONG_S = 40


class Counting(dict[str, int]):
    """Takes the place of the armed points, and counts who asks for which."""

    def __init__(self) -> None:
        super().__init__({"no such point": 1})
        self.passed: Counter[str] = Counter()

    def __contains__(self, name: object) -> bool:
        self.passed[str(name)] += 1
        return False


async def trade(config: Path) -> None:
    """Trade until the data are over, with nothing left to do, and leave in order."""
    with anyio.fail_after(TOO_LONG_S):
        async with LiveExecutor(config) as executor:
            async for _ in executor.market():
                pass


def main(options: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("way", choices=("executor", "service"))
    parser.add_argument("backend", choices=("asyncio", "trio"))
    parser.add_argument("--count", type=Path)
    parser.add_argument("--stop-at", default="")
    parser.add_argument("--then", default="")
    wanted = parser.parse_args(options)
    os.environ["CRASH_TEST_STOP_AT"], os.environ["CRASH_TEST_THEN"] = wanted.stop_at, wanted.then
    counting = Counting()
    if wanted.count is not None:
        points: Any = crash_points
        points._left = counting
    config, status = wanted.folder / "config.yaml", 0
    if wanted.way == "service":
        status = ordersmith(["run", str(config), "--backend", wanted.backend])
    else:
        anyio.run(trade, config, backend=wanted.backend)
    if wanted.count is not None:
        wanted.count.write_text(json.dumps(counting.passed, indent=1, sort_keys=True), encoding="utf-8")
    return status


def serve() -> None:
    """Carry out requests one after the other, each in a process of its own."""
    for line in sys.stdin:
        request = json.loads(line)
        child = os.fork()
        if not child:
            _carry_out(**request)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


def _carry_out(options: list[str], crash: str, says: str) -> NoReturn:
    status = 1
    try:
        file = os.open(says, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(file, 1)
        os.dup2(file, 2)
        crash_points._left.update(crash_points.armed(crash))
        status = main(options)
    except BaseException:  # noqa: BLE001 - nothing may come back from here
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    sys.exit(serve() if sys.argv[1:] == ["serve"] else main())
