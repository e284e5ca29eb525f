"""`ordersmith run` as a process of its own, for tests: its log line by line, its signals, its end."""

from __future__ import annotations

import contextlib
import io
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from ordersmith.supervisor import cli

PATIENCE_S = 60.0
"""How long a test waits for anything: much longer than it takes, so that a busy machine is no failure."""

NIGHT = 48 * 60
"""Minutes. At 1,200 times the speed of the wall it outlasts a test."""

CONFIG = """\
execution:
  mode: paper
  provider: simulated
  paper: {speed: SPEED, file: account.db}
  backtest: {slippage: 0.001, commission: 1}
risk: {duplicate_window: 0}
data: {path: A.csv, timezone: UTC}
strategy: {path: "hosted.py:Hosted"}
journal: {path: journal.db}
instance: test
"""

STRATEGY = '''\
"""Buys a share at every bar, and asks for another far below the market, which stays open."""

from ordersmith import Order, Strategy


class Hosted(Strategy):
    def on_bar(self, bar):
        self.submit(
            Order(symbol="A", side="BUY", quantity=1),
            Order(symbol="A", side="BUY", quantity=2, order_type="LIMIT", limit_price="1", time_in_force="GTC"),
        )
'''


def write_prices(path: Path, bars: int, *, gap_after: int | None = None) -> None:
    """Write so many bars of a minute, with a night after one of them."""
    lines = ["date,open,high,low,close,volume"]
    for number in range(bars):
        minute = number + (NIGHT if gap_after is not None and number >= gap_after else 0)
        price = 10 + number % 7 / 10
        at = datetime(2020, 1, 6, tzinfo=UTC) + timedelta(minutes=minute)
        lines.append(f"{at:%Y-%m-%d %H:%M},{price},{price + 1},{price - 1},{price},100000")
    path.write_text("\n".join(lines) + "\n")


class Service:
    """A folder with a configuration, and the process that runs it."""

    def __init__(
        self,
        folder: Path,
        *,
        speed: str = "1200",
        bars: int = 5000,
        gap_after: int | None = None,
        strategy: str = STRATEGY,
    ) -> None:
        self.folder = folder
        self.config = folder / "service.yaml"
        self.config.write_text(CONFIG.replace("SPEED", speed))
        (folder / "hosted.py").write_text(strategy)
        write_prices(folder / "A.csv", bars, gap_after=gap_after)
        self.lines: list[str] = []
        self._news: queue.Queue[str | None] = queue.Queue()
        self._process: subprocess.Popen[str]

    # --- The service ---------------------------------------------------------------------------------------------------

    def start(self, *options: str, settings: tuple[str, ...] = (), env: dict[str, str] | None = None) -> Service:
        """Start it. `settings` are overrides."""
        self.lines, self._news = [], queue.Queue()
        words = [*options, *(word for setting in settings for word in ("--set", setting))]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "ordersmith", "run", str(self.config), *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self.folder,
            env={**os.environ, **(env or {})},
        )
        threading.Thread(target=self._read, args=(self._process, self._news), daemon=True).start()
        return self

    @staticmethod
    def _read(process: subprocess.Popen[str], news: queue.Queue[str | None]) -> None:
        assert process.stderr is not None
        for line in process.stderr:
            news.put(line.rstrip("\n"))
        news.put(None)

    def wait_for(self, event: str, **fields: Any) -> dict[str, Any]:
        """Return the next line of the log with this event and these fields."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            line = self._news.get(timeout=max(deadline - time.monotonic(), 0.001))
            assert line is not None, f"it ended without {event}: {self.lines[-5:]}"
            self.lines.append(line)
            found = json.loads(line)
            if found["event"] == event and all(found.get(name) == value for name, value in fields.items()):
                return dict(found)

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def end(self, expected: int = 0) -> str:
        """Wait for its end and check the exit status; return what it wrote to standard output."""
        status = self._process.wait(PATIENCE_S)
        while (line := self._news.get(timeout=PATIENCE_S)) is not None:
            self.lines.append(line)
        assert self._process.stdout is not None
        with self._process.stdout as stdout:
            said = stdout.read()
        assert self._process.stderr is not None
        self._process.stderr.close()
        assert status == expected, (status, self.lines[-10:])
        return said

    def stop(self, number: signal.Signals = signal.SIGTERM, expected: int = 0) -> str:
        """Send a signal and wait for the end."""
        self.send(number)
        return self.end(expected)

    def kill(self) -> None:
        """Leave no process behind, whatever happened in the test."""
        if hasattr(self, "_process") and self._process.poll() is None:
            self._process.kill()
            self.end(-signal.SIGKILL)

    @property
    def logged(self) -> list[dict[str, Any]]:
        """All of the log that was read so far; every line must be JSON."""
        return [json.loads(line) for line in self.lines]

    # --- Others ----------------------------------------------------------------------------------------------------------

    def call(self, command: str, *words: str) -> subprocess.CompletedProcess[str]:
        """Say another command about the same configuration; it runs in this process, which costs less than one of its own."""
        return said_here(*command.split(), str(self.config), *words)

    def ask(self, command: str, *words: str) -> Any:
        """Say a command that must be obeyed; return its answer."""
        done = self.call(command, *words, "--json")
        assert done.returncode == 0, done
        return json.loads(done.stdout)["result"]

    def process(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a command as a process of its own."""
        return subprocess.run(
            [sys.executable, "-m", "ordersmith", *words],
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            cwd=self.folder,
            check=False,
        )

    def journal(self, action: str, *words: str) -> subprocess.CompletedProcess[str]:
        """Look into the journal."""
        return said_here("journal", action, str(self.folder / "journal.db"), *words)


def said_here(*words: str) -> subprocess.CompletedProcess[str]:
    """Run a command in this process."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            status = cli.main(words)
        except SystemExit as ended:  # argparse's way
            status = ended.code if isinstance(ended.code, int) else 1
    return subprocess.CompletedProcess(words, status, out.getvalue(), err.getvalue())
