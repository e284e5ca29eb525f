"""Rounds of `kill -9` in a storm: a process trades at a local Alpaca that fails in all ways that it knows, and is killed at any moment.

    python tests/kit/alpaca_rounds.py [--rounds 500] [--seed 1] [--workers 6] [--keep FOLDER]

A round kills one process or a few, each where it happens to be; then the storm ends, a last process comes to rest, and both books
are compared (`alpaca_checker.py`). The sandbox is a process of its own that outlives all of them: its account and the journal go on
from round to round. What a round does follows from its seed, when it does it from the machine's mood as well.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import signal
import struct
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any, NoReturn

import msgspec
from alpaca_checker import after_kill, at_rest
from alpaca_sandbox_kit import SandboxClient, sandbox_config

from ordersmith.adapters.sandbox.alpaca_server import AlpacaSandbox
from ordersmith.adapters.sandbox.sandbox_config import Addresses
from ordersmith.config.yaml_reader import read

CRASH = Path(__file__).resolve().parents[1] / "crash"
sys.path.insert(0, str(CRASH))

from alpaca_trader import SYMBOLS, UP, Job, carry_out, configure  # noqa: E402

STORM = CRASH / "alpaca_storm.yaml"
ROUNDS_AN_ACCOUNT = 25
"""After so many rounds a new account and a new journal begin: reading both anew in each round takes its time."""

SERVICES = 0.35
POINTS = 0.3
"""Shares: of the processes that are `ordersmith run`, and of the kills that come at a point of the code instead of a time."""

UP_WITHIN_S = 15.0
REST_WITHIN_S = 25.0
LONGEST_LIFE_S = 60
TOKEN = struct.Struct("<I")

KILL_POINTS = (
    "durable:OrderIntended",
    "durable:OrderApproved",
    "released:NewOrder",
    "taken:NewOrder",
    "taken:ReplaceRequest",
    "taken:CancelRequest",
    "reported:Accepted",
    "reported:OutcomeUnknown",
    "reported:Executed",
    "reported:Replaced",
    "reported:Cancelled",
    "reported:OrderFound",
    "reported:AccountSnapshot",
    "recorded:OrderFilled",
    "recorded:OrderInDoubt",
    "durable:OrderReplaceRequested",
    "durable:SessionOpened",
    "journal:snapshot-kept",
)


class Round(msgspec.Struct):
    """What came of one round."""

    seed: int
    starts: int = 0
    kills: int = 0
    rest_s: float = 0.0
    seconds: float = 0.0
    orders: int = 0
    fills: int = 0
    faults: dict[str, int] = {}
    findings: list[str] = []


# --- The sandbox -------------------------------------------------------------------------------------------------------


def _be_sandbox(seed: int, told: int, parent: int) -> NoReturn:
    """Be the sandbox until who started it is gone or kills it."""
    config = sandbox_config(
        symbols=SYMBOLS,
        seed=seed,
        speed=60.0,
        rate_limit=100_000,
        slot_held_s=0.1,
        cash=Decimal(50_000_000),
        new_delay_ns=Random(seed).choice((0, 20_000_000)),
        cancel_delay_ns=60_000_000,
        partial_probability=0.6,
    )

    async def live() -> None:
        sandbox = AlpacaSandbox(config)
        addresses = await sandbox.start()
        about = {"addresses": msgspec.structs.asdict(addresses), "key": config.key, "secret": config.secret}
        os.write(told, json.dumps(about).encode() + b"\n")
        while os.getppid() == parent:  # noqa: ASYNC110 - that a process is gone is no event
            await asyncio.sleep(0.5)

    try:
        asyncio.run(live())
    except BaseException:  # noqa: BLE001 - nothing may come back from here
        traceback.print_exc()
    finally:
        os._exit(0)


class Ground:
    """An account at a sandbox of its own, the journal that goes with it, and the rounds that are played on them."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder = folder
        self.journal = folder / "journal.db"
        self.played = 0
        self._known = (0, 0)
        reads, told = os.pipe()
        parent = os.getpid()
        self._sandbox = os.fork()
        if not self._sandbox:
            os.close(reads)
            _be_sandbox(seed, told, parent)
        os.close(told)
        with os.fdopen(reads) as said:
            about = json.loads(said.readline())
        self.client = SandboxClient(msgspec.convert(about["addresses"], Addresses), about["key"], about["secret"])
        configure(folder, about)
        rules = read(STORM.read_text(encoding="utf-8")).value["faults"]
        self._storm = msgspec.json.Encoder(decimal_format="number").encode(rules)

    def close(self) -> None:
        os.kill(self._sandbox, signal.SIGKILL)
        os.waitpid(self._sandbox, 0)

    # --- A round -------------------------------------------------------------------------------------------------------

    def play(self, seed: int) -> Round:
        """Play one round."""
        began, chance, round_ = time.monotonic(), Random(f"alpaca {seed}"), Round(seed)
        before = self.client.state()
        self.client.admin("POST", "/play", {"playing": True})
        self.client.admin("POST", "/faults", self._storm)
        self._have_killed(round_, chance, chance.uniform(0.0, 3.0), once_up=True)
        while chance.random() < 0.4:  # recovery is where the next kill comes
            self._have_killed(round_, chance, chance.uniform(0.02, 1.5), once_up=chance.random() < 0.3)
        time.sleep(chance.uniform(0.0, 0.4))  # the market goes on without us
        self._end_storm(before, round_)
        self._put_to_rest(round_, chance)
        found, journal = at_rest(self.journal, self.client)
        round_.findings += found
        known, self._known = self._known, (len(journal.orders), journal.events["OrderFilled"])
        round_.orders, round_.fills = self._known[0] - known[0], self._known[1] - known[1]
        round_.seconds = time.monotonic() - began
        self.played += 1
        return round_

    def _have_killed(self, round_: Round, chance: Random, after_s: float, *, once_up: bool) -> None:
        """Have a process trade, and kill it so long after its start, or `once_up`; or at a point that it passes before."""
        way = "service" if chance.random() < SERVICES else "executor"
        in_order = chance.random() < 0.08
        crash = f"{chance.choice(KILL_POINTS)}:{chance.randrange(1, 9)}" if chance.random() < POINTS else ""
        end = signal.SIGTERM if in_order else signal.SIGKILL
        status = self._run(round_, chance, way, UP_WITHIN_S + 5, crash, after_s, end, once_up=once_up)
        if status == -signal.SIGKILL:
            round_.kills += 1
        if self.journal.exists() and self._has_records():
            round_.findings += [f"after a kill: {each}" for each in after_kill(self.journal, self.client)]

    def _put_to_rest(self, round_: Round, chance: Random) -> None:
        began = time.monotonic()
        result = self.folder / "unrest.json"
        result.unlink(missing_ok=True)
        status = self._run(round_, chance, "rest", REST_WITHIN_S, "", LONGEST_LIFE_S, signal.SIGKILL)
        round_.rest_s = time.monotonic() - began
        unrest = json.loads(result.read_text()) if result.exists() else [f"the last process ended with {status}"]
        round_.findings += [f"not at rest: {each}" for each in unrest]

    def _run(
        self,
        round_: Round,
        chance: Random,
        way: str,
        seconds: float,
        crash: str,
        end_s: float,
        end: signal.Signals,
        *,
        once_up: bool = False,
    ) -> int:
        """Run a process, send it a signal after so long if it is still there, and return how it ended."""
        up = self.folder / UP
        up.unlink(missing_ok=True)
        round_.starts += 1
        backend, number = chance.choice(("asyncio", "trio")), round_.seed * 1000 + round_.starts
        pid = os.fork()
        if not pid:
            signal.alarm(LONGEST_LIFE_S)  # whatever becomes of who started it
            carry_out(Job(str(self.folder), way, backend, number, seconds, crash))
        ended = _wait(pid, UP_WITHIN_S, up.exists) if once_up else None
        if ended is None:
            ended = _wait(pid, end_s)
        if ended is None:
            os.kill(pid, end)
            ended = _wait(pid, LONGEST_LIFE_S + 5)
        status = -signal.SIGALRM if ended is None else ended
        # A signal to stop is answered by a service once it is up, and by a program of this kind never.
        if status not in (0, -signal.SIGKILL, -end) and not self._was_refused():
            round_.findings.append(
                f"start {round_.starts}, {way} on {backend}, ended with {status}: {self._last_words()}"
            )
        return status

    def _was_refused(self) -> bool:
        """Whether the storm refused the key before there was a session, which a person has to look at."""
        return any("refused the key" in line for line in self._says()[-6:])

    def _says(self) -> list[str]:
        return (self.folder / "says.txt").read_text(encoding="utf-8").splitlines()

    def _last_words(self) -> str:
        said = [line for line in self._says() if line.strip()]
        return " | ".join(said[-3:])[-600:]

    def _has_records(self) -> bool:
        from crash_checker import _is_empty

        return not _is_empty(self.journal)

    def _end_storm(self, before: Any, round_: Round) -> None:
        self.client.end_faults()
        self.client.admin("POST", "/play", {"playing": False})
        struck, was = self.client.state()["faults"], before["faults"]
        round_.faults = {name: count - was.get(name, 0) for name, count in struck.items() if count > was.get(name, 0)}


def _wait(pid: int, seconds: float, enough: Callable[[], bool] = lambda: False) -> int | None:
    """Return how a process ended, None if it has not within so long, or before there is `enough`."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and not enough():
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.005)
    return None


# --- Many rounds -------------------------------------------------------------------------------------------------------


class Worker:
    """Plays the rounds whose seeds it draws from a pipe, and writes down what came of each."""

    def __init__(self, seeds: int, results: int, keep: Path | None) -> None:
        self._seeds, self._results, self._keep = seeds, results, keep

    def work(self) -> None:
        seed = self._next()
        while seed is not None:
            with ground(seed) as here:
                while seed is not None and here.played < ROUNDS_AN_ACCOUNT:
                    round_ = self._play(here, seed)
                    os.write(self._results, msgspec.json.encode(round_) + b"\n")
                    seed = self._next()
                    if round_.findings:
                        break

    def _play(self, here: Ground, seed: int) -> Round:
        try:
            round_ = here.play(seed)
        except Exception:  # noqa: BLE001 - the round is told as what it is, and others go on
            round_ = Round(seed, findings=[traceback.format_exc()])
        if round_.findings and self._keep is not None:
            self._put_by(here, round_)
        round_.findings = [each[:2000] for each in round_.findings[:12]]
        return round_

    def _put_by(self, here: Ground, round_: Round) -> None:
        """Keep the files and what the sandbox has to say, to be looked into."""
        assert self._keep is not None
        place = self._keep / f"round-{round_.seed}"
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(here.folder, place, ignore=shutil.ignore_patterns("*.sock"))
        (place / "findings.json").write_bytes(msgspec.json.format(msgspec.json.encode(round_)))
        for name, look in (("orders", here.client.orders), ("updates", here.client.updates), ("log", here.client.log)):
            (place / f"{name}.json").write_text(json.dumps(look()), encoding="utf-8")

    def _next(self) -> int | None:
        token = os.read(self._seeds, TOKEN.size)
        return TOKEN.unpack(token)[0] if token else None


@contextmanager
def ground(seed: int) -> Iterator[Ground]:
    """A new account and a new journal, in memory where there is such a disk: a killed process needs no sync."""
    memory = Path("/dev/shm")  # noqa: S108
    with tempfile.TemporaryDirectory(prefix="os-storm-", dir=memory if memory.is_dir() else None) as name:
        here = Ground(Path(name), seed)
        try:
            yield here
        finally:
            here.close()


def play_all(seeds: range, workers: int, keep: Path | None = None) -> Iterator[Round]:
    """Play rounds with these seeds, a few at a time, and yield each as it is over."""
    tokens, put = os.pipe()
    results, say = os.pipe()
    os.write(put, b"".join(TOKEN.pack(seed) for seed in seeds))  # they fit: 4 bytes each
    os.close(put)
    pids = [_fork(lambda: Worker(tokens, say, keep).work(), results) for _ in range(workers)]
    os.close(tokens)
    os.close(say)
    try:
        with os.fdopen(results, "rb") as lines:
            for line in lines:
                yield msgspec.json.decode(line, type=Round)
    finally:
        for pid in pids:
            if _wait(pid, 2.0) is None:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)


def _fork(work: Callable[[], None], not_mine: int) -> int:
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        os.close(not_mine)
        work()
        status = 0
    except BaseException:  # noqa: BLE001 - nothing may come back from here
        traceback.print_exc()
    finally:
        os._exit(status)


def summary(played: list[Round], took_s: float) -> str:
    """Return in words what came of all rounds."""
    faults: Counter[str] = Counter()
    for each in played:
        faults.update(each.faults)
    wrong = sum(bool(each.findings) for each in played)
    rests = sorted(each.rest_s for each in played)
    median = rests[len(rests) // 2] if rests else 0.0
    return (
        f"faults: {', '.join(f'{name} {count}' for name, count in faults.most_common())}\n"
        f"{len(played)} rounds, {sum(each.starts for each in played)} starts, {sum(each.kills for each in played)} kills, "
        f"{sum(each.orders for each in played)} orders, {sum(each.fills for each in played)} fills, "
        f"{sum(faults.values())} faults, to rest in {median:.1f} s (longest {max(rests, default=0.0):.1f} s); "
        f"{wrong} with findings; {took_s:.0f} s"
    )


def told(round_: Round) -> str:
    """Return what is wrong in a round."""
    return f"seed {round_.seed}:\n    " + "\n    ".join(round_.findings[:8])


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=3 * (os.cpu_count() or 1))
    parser.add_argument("--keep", type=Path, help="where the files of rounds with findings are kept")
    wanted = parser.parse_args()
    began, played = time.monotonic(), []
    workers = min(wanted.workers, wanted.rounds)
    for each in play_all(range(wanted.seed, wanted.seed + wanted.rounds), workers, wanted.keep):
        played.append(each)
        if each.findings:
            print(told(each), flush=True)
        if len(played) % 25 == 0:
            wrong = sum(bool(other.findings) for other in played)
            print(
                f"{len(played)} of {wanted.rounds}, {wrong} with findings, {time.monotonic() - began:.0f} s", flush=True
            )
    print(summary(played, time.monotonic() - began))
    return int(len(played) < wanted.rounds or any(each.findings for each in played))


if __name__ == "__main__":
    sys.exit(main())
