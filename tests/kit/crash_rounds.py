"""Rounds of `kill -9`: a real process kills itself at a named point, is started again, and both books are compared at the end.

    python tests/kit/crash_rounds.py [--rounds 20] [--points PATTERN] [--seed 1] [--workers 2] [--quick]

`POINTS` says which point of the catalogue of crashes each name stands for. A round draws a count up to what a dry run has
passed; a point that is not reached fails. What the rounds judge by is `crash_checker.py`.
"""

from __future__ import annotations

import argparse
import fnmatch
import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import NamedTuple

from crash_checker import after_crash, at_end

CRASH = Path(__file__).resolve().parents[1] / "crash"
sys.path.insert(0, str(CRASH))

from scene import CASH, Scene, set_up  # noqa: E402

TRADER = str(CRASH / "trader.py")
STOP_AT = 10
SERVICES = 0.3
"""Share of the processes that are `ordersmith run`."""

LEFT_OVER = 4
"""The exit status of a service whose stop could not do all that it was to do."""


class When:
    """In which of a round's processes a point is armed."""

    TRADING = "trading"
    RECOVERY = "recovery"
    STOP = "stop"


class Point(NamedTuple):
    """A crash point: the number in the catalogue, on which side of it, the name, and when it is armed."""

    k: int
    side: str
    name: str
    when: str = When.TRADING


BEFORE, AFTER = "before", "after"

POINTS = (
    Point(1, BEFORE, "recorded:OrderSubmitted"),
    Point(1, AFTER, "recorded:OrderIntended"),
    Point(2, BEFORE, "recorded:OrderApproved"),
    Point(2, AFTER, "journal:written"),
    Point(3, BEFORE, "journal:committed"),
    Point(3, AFTER, "durable:OrderIntended"),
    Point(4, BEFORE, "recorded:OrderDenied"),
    Point(4, AFTER, "durable:OrderApproved"),
    Point(5, BEFORE, "released:NewOrder"),
    Point(5, AFTER, "taken:NewOrder"),
    Point(6, BEFORE, "paper:commit"),
    Point(6, BEFORE, "paper:written"),
    Point(6, AFTER, "paper:committed"),
    Point(7, BEFORE, "reported:Accepted"),
    Point(7, AFTER, "recorded:OrderAccepted"),
    Point(8, BEFORE, "durable:OrderAccepted"),
    Point(8, AFTER, "durable:OrderRejected"),
    Point(9, BEFORE, "reported:Executed"),
    Point(9, AFTER, "recorded:OrderFilled"),
    Point(10, BEFORE, "durable:OrderFilled"),
    Point(10, AFTER, "durable:PositionAdjusted"),
    Point(11, BEFORE, "paper:posted"),
    Point(11, AFTER, "recorded:TargetDropped"),
    Point(12, BEFORE, "durable:OrderCancelRequested"),
    Point(12, AFTER, "released:CancelRequest"),
    Point(13, BEFORE, "taken:CancelRequest"),
    Point(13, AFTER, "reported:Cancelled"),
    Point(14, BEFORE, "taken:ReplaceRequest"),
    Point(14, AFTER, "reported:Replaced"),
    Point(17, BEFORE, "reported:AccountSnapshot", When.RECOVERY),
    Point(17, AFTER, "recorded:AccountRead", When.RECOVERY),
    Point(18, BEFORE, "durable:Booted", When.RECOVERY),
    Point(18, AFTER, "durable:SessionOpened", When.RECOVERY),
    Point(19, BEFORE, "journal:checkpoint", When.RECOVERY),
    Point(19, AFTER, "journal:checkpointed", When.RECOVERY),
    Point(20, BEFORE, "journal:snapshot"),
    Point(20, BEFORE, "journal:snapshot-parts"),
    Point(20, AFTER, "journal:snapshot-kept"),
    Point(21, BEFORE, "recorded:TradingStateChanged"),
    Point(21, AFTER, "durable:TradingStateChanged"),
    Point(24, BEFORE, "released:CancelRequest", When.STOP),
    Point(24, AFTER, "durable:OrderCancelled", When.STOP),
    Point(24, AFTER, "released:Disconnect", When.STOP),
    Point(24, AFTER, "journal:close", When.STOP),
    Point(24, AFTER, "journal:closed", When.STOP),
)

BASES = (
    "taken:NewOrder",
    "paper:committed",
    "reported:Accepted",
    "recorded:OrderFilled",
    "taken:ReplaceRequest",
    "taken:CancelRequest",
)
"""Where the process is killed first when a point of the recovery is to come: with something in doubt."""

SCENES = (
    Scene(on_stop="cancel"),
    Scene(on_stop="cancel", late=0.2, seed=1),
    Scene(on_stop="cancel", late=7, seed=2),
    Scene(on_stop="cancel", snapshot_every=100_000, seed=3),
    Scene(on_stop="flatten", actions=False, seed=4),
)


QUICK = (
    Scene(on_stop="cancel", minutes=16, snapshot_every=100),
    Scene(on_stop="cancel", minutes=16, late=0.2, snapshot_every=100, seed=1),
)
"""For rounds that must not take long."""


class Round(NamedTuple):
    """What came of one round: the processes that it took, and what is wrong."""

    point: Point
    seed: int
    starts: int
    findings: list[str]


Passings = Mapping[str, Mapping[str, int]]
"""How often each point is passed, by when."""


class NotReached(Exception):
    """A point was not passed, or the process ended in another way than by it."""


# --- Processes ---------------------------------------------------------------------------------------------------------


class Ended(NamedTuple):
    """How a trader ended, and what it said."""

    status: int
    says: str


class Traders:
    """Starts traders, one at a time, each a process of its own that has the imports behind it."""

    def __init__(self) -> None:
        environment = {name: value for name, value in os.environ.items() if name != "ORDERSMITH_CRASH"}
        self._server = subprocess.Popen(
            [sys.executable, TRADER, "serve"],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def start(self, folder: Path, way: str, backend: str, *options: str, crash: str = "") -> Ended:
        """Run a trader to its end, or to its crash."""
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        says = folder / "says.txt"
        request = {"options": [str(folder), way, backend, *options], "crash": crash, "says": str(says)}
        self._server.stdin.write(json.dumps(request) + "\n")
        self._server.stdin.flush()
        return Ended(int(self._server.stdout.readline()), says.read_text(encoding="utf-8"))

    def close(self) -> None:
        self._server.communicate()


def passings(traders: Traders, scene: Scene) -> Passings:
    """Return how often each point is passed in a dry run: in a first process, in one after a crash, and in an orderly stop."""
    with folder_of(scene) as folder:
        trading = _counted(traders, folder, "executor")
    with folder_of(scene) as folder:
        killed = traders.start(folder, "service", "trio", crash=f"{BASES[0]}:{trading[BASES[0]] // 2}")
        assert killed.status == -signal.SIGKILL, killed.says
        recovery = _counted(traders, folder, "executor")
    with folder_of(scene) as folder:
        stop = _counted(traders, folder, "service", *_stopping("no such point:1"))
    return {When.TRADING: trading, When.RECOVERY: recovery, When.STOP: stop}


def _counted(traders: Traders, folder: Path, way: str, *options: str) -> Mapping[str, int]:
    counts = folder / "counts.json"
    done = traders.start(folder, way, "asyncio", "--count", str(counts), *options)
    assert done.status in (0, LEFT_OVER), done.says
    found: Mapping[str, int] = json.loads(counts.read_text(encoding="utf-8"))
    return found


def _stopping(crash: str) -> tuple[str, ...]:
    return ("--stop-at", str(STOP_AT), "--then", crash)


@contextmanager
def folder_of(scene: Scene) -> Iterator[Path]:
    """A folder with the scene set up, in memory where there is such a disk: a killed process needs no sync."""
    memory = Path("/dev/shm")  # noqa: S108
    with tempfile.TemporaryDirectory(prefix="os-crash-", dir=memory if memory.is_dir() else None) as name:
        set_up(Path(name), scene)
        yield Path(name)


# --- A round -----------------------------------------------------------------------------------------------------------


def play(traders: Traders, point: Point, seed: int, counts: Mapping[Scene, Passings]) -> Round:
    """Play one round: everything in it is drawn from the seed."""
    chance = Random(f"{point} {seed}")
    scenes = [scene for scene, passed in counts.items() if passed[point.when].get(point.name)]
    if not scenes:
        raise NotReached(f"{point.name}: no dry run has ever passed it when {point.when}")
    scene = chance.choice(scenes)
    with folder_of(scene) as folder:
        judge = _Judge(traders, folder, chance)
        judge.crash(point, counts[scene])
        while chance.random() < 0.25:  # recovery is where the next crash comes from
            name = chance.choice(ANYWHERE)
            judge.run(crash=f"{name}:{chance.randrange(1, 8)}")
        judge.run()
        found, _ = at_end(folder, CASH)
        return Round(point, seed, judge.starts, judge.findings + found)


ANYWHERE = (
    *dict.fromkeys(point.name for point in POINTS if point.when != When.STOP),
    "recorded:OrderInDoubt",
    "durable:OrderInDoubt",
    "recorded:OrderNotFound",
    "reported:OrderFound",
    "durable:BooksSuspected",
)
"""Where a second crash may come; not all of them are passed by every recovery."""


class _Judge:
    """Starts the processes of a round on one folder, and looks at what each crash has left."""

    def __init__(self, traders: Traders, folder: Path, chance: Random) -> None:
        self.traders, self.folder, self.chance = traders, folder, chance
        self.starts = 0
        self.findings: list[str] = []

    def crash(self, point: Point, counts: Passings) -> None:
        """Have a process killed at the point, some way into its work; raise NotReached if none is."""
        count = self.chance.randrange(1, counts[point.when][point.name] + 1)
        if point.when == When.RECOVERY:
            base = self.chance.choice(BASES)
            self.run(crash=f"{base}:{self.chance.randrange(1, counts[When.TRADING][base] * 2 // 3)}")
        while True:
            crash = f"{point.name}:{count}"
            options = _stopping(crash) if point.when == When.STOP else ()
            killed = self.run(*options, crash="" if options else crash)
            if killed:
                return
            if count == 1:
                raise NotReached(f"{point.name}: not passed once in {self.folder}")
            count = (count + 1) // 2 if count > 2 else 1
            self.anew()

    def anew(self) -> None:
        """Go back to the beginning: the process has ended before it came to the point."""
        for file in self.folder.glob("*.db*"):
            file.unlink()

    def run(self, *options: str, crash: str = "") -> bool:
        """Run a process; return whether it was killed, and note what is wrong after it."""
        self.starts += 1
        way = "service" if options or self.chance.random() < SERVICES else "executor"
        done = self.traders.start(self.folder, way, self.chance.choice(("asyncio", "trio")), *options, crash=crash)
        killed = done.status == -signal.SIGKILL
        wants_kill = bool(crash or options)
        if killed and wants_kill:
            self.findings += [f"after {crash or options[-1]}: {each}" for each in after_crash(self.folder, CASH)]
        elif done.status and not (options and done.status == LEFT_OVER):
            last = done.says.strip().splitlines()[-1:] or ["nothing said"]
            self.findings.append(f"start {self.starts} with {crash!r} ended with {done.status}: {last[0]}")
        return killed


# --- Many rounds -------------------------------------------------------------------------------------------------------


def play_all(
    points: Sequence[Point], rounds: int, seed: int, workers: int, scenes: Sequence[Scene] = SCENES
) -> Iterator[Round]:
    """Play so many rounds a point, a few at a time, and yield each as it is over."""
    all_traders = [Traders() for _ in range(workers)]
    free: queue.SimpleQueue[Traders] = queue.SimpleQueue()
    for traders in all_traders:
        free.put(traders)

    def counted(scene: Scene) -> Passings:
        traders = free.get()
        try:
            return passings(traders, scene)
        finally:
            free.put(traders)

    try:

        def one(point: Point, number: int) -> Round:
            traders = free.get()
            try:
                return play(traders, point, number, counts)
            except NotReached as error:
                return Round(point, number, 0, [f"not reached: {error}"])
            finally:
                free.put(traders)

        with ThreadPoolExecutor(workers) as pool:
            counts = dict(zip(scenes, pool.map(counted, scenes), strict=True))
            tasks = [pool.submit(one, point, seed + number) for number in range(rounds) for point in points]
            for task in as_completed(tasks):
                yield task.result()
    finally:
        for traders in all_traders:
            traders.close()


def table(played: Iterable[Round]) -> str:
    """Return the rounds as a table: a line a point."""
    lines = [f"{'K':>3} {'side':<7}{'when':<9}{'point':<32}{'rounds':>7}{'starts':>7}{'findings':>9}"]
    by_point: dict[Point, list[Round]] = {}
    for each in played:
        by_point.setdefault(each.point, []).append(each)
    for point, rounds in by_point.items():
        starts, found = sum(each.starts for each in rounds), sum(bool(each.findings) for each in rounds)
        lines.append(
            f"{point.k:>3} {point.side:<7}{point.when:<9}{point.name:<32}{len(rounds):>7}{starts:>7}{found:>9}"
        )
    return "\n".join(lines)


def told(played: Iterable[Round]) -> str:
    """Return what is wrong, round by round."""
    return "\n".join(
        f"{each.point.name} ({each.point.when}), seed {each.seed}:\n    " + "\n    ".join(each.findings[:8])
        for each in played
        if each.findings
    )


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--points", default="*")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--quick", action="store_true", help="in small scenes")
    wanted = parser.parse_args()
    points = [point for point in POINTS if fnmatch.fnmatch(point.name, wanted.points)]
    began = time.monotonic()
    played = []
    for each in play_all(points, wanted.rounds, wanted.seed, wanted.workers, QUICK if wanted.quick else SCENES):
        played.append(each)
        if each.findings:
            print(told([each]), flush=True)
    print(table(played))
    wrong = sum(bool(each.findings) for each in played)
    took_s = time.monotonic() - began
    print(f"{len(played)} rounds, {sum(each.starts for each in played)} starts, {wrong} with findings, {took_s:.0f} s")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
