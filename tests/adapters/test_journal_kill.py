"""A process that writes is killed at any moment: what it was told committed is there, and what is there is a prefix.

ORDERSMITH_TEST_ROUNDS=200 kills as many.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import anyio
from journal_kit import records, session

from ordersmith.adapters.journal_reader import JournalReader

ROUNDS = max(4, int(os.environ.get("ORDERSMITH_TEST_ROUNDS", "4")))
KIT = Path(__file__).resolve().parents[1] / "kit"

WRITER = """
import anyio, os, sys
from pathlib import Path
from journal_kit import records, session

async def main(path, counts):
    async with session(path) as running:
        os.write(1, b"open %d\\n" % running.store.durable)
        while True:
            for count in counts:
                await running.append(count)
                os.write(1, b"%d\\n" % running.store.durable)
            await running.store.save_snapshots(running.store.durable, {"a": b"state"}, "1")

anyio.run(main, Path(sys.argv[1]), [1, 3, 1, 20, 2], backend=sys.argv[2])
"""


def write_and_kill(path: Path, chance: random.Random, backend: str) -> tuple[int, int]:
    """Run a writer, kill it some way into its work, and return what it found at its start and what it was told last."""
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path), backend],
        env={**os.environ, "PYTHONPATH": str(KIT)},
        stdout=subprocess.PIPE,
    )
    assert writer.stdout is not None
    told = [writer.stdout.readline() for _ in range(chance.randrange(1, 30))]
    for _ in range(chance.randrange(20_000)):  # somewhere inside what comes next
        pass
    writer.send_signal(signal.SIGKILL)
    told += writer.stdout.read().splitlines(keepends=True)
    writer.stdout.close()
    writer.wait()
    numbers = [int(line.split()[-1]) for line in told if line.endswith(b"\n")]
    assert numbers, "the writer did not start"
    return numbers[0], numbers[-1]


def test_kill_9_loses_nothing_committed(tmp_path: Path) -> None:
    """Killed again and again, each start finds all that was committed, a prefix of what was written, and can go on."""
    path = tmp_path / "x.journal"
    chance = random.Random(os.environ.get("ORDERSMITH_TEST_SEED", "1"))
    left = 0
    for turn in range(ROUNDS):
        found, told = write_and_kill(path, chance, ("asyncio", "trio")[turn % 2])
        assert found == left
        with JournalReader(path) as reader:
            verdict = reader.verify()
            assert verdict.problem is None
            assert verdict.head.number >= told
            assert list(reader.read()) == records(1, verdict.head.number)
        left = verdict.head.number

    async def go_on() -> None:
        async with session(path) as running:
            assert running.store.boot == ROUNDS + 1
            await running.append(1)

    anyio.run(go_on)
