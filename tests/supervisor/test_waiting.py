"""What an executor says while it waits for a broker that cannot be reached, and that it says nothing otherwise."""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anyio
import msgspec
import pytest
from alpaca_sandbox_kit import running_sandbox
from driven import feed
from embedded import fast_folder, paper

from ordersmith import AlpacaPaperExecutor, PaperExecutor
from ordersmith.adapters.sandbox.sandbox_config import Addresses, addresses
from ordersmith.supervisor import waiting
from ordersmith.supervisor.executor import load_settings
from ordersmith.supervisor.waiting import without_user

SECRET = "a-very-secret-secret"
QUICK = (0.1,)


@pytest.fixture
def folder() -> Iterator[Path]:
    with fast_folder() as found:
        yield found


@pytest.fixture
def port() -> int:
    """Return a port at which nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        found: int = taken.getsockname()[1]
        return found


class Lines(logging.Handler):
    """Keeps the lines of the executor's log, and wakes who waits for the next."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.texts: list[str] = []
        self.news = anyio.Event()

    def emit(self, record: logging.LogRecord) -> None:
        assert record.levelno == logging.WARNING
        if "for the broker" in record.getMessage():
            self.texts.append(record.getMessage())
            self.news.set()

    async def wait(self, count: int) -> None:
        with anyio.fail_after(20):
            while len(self.texts) < count:
                self.news = anyio.Event()
                await self.news.wait()


@pytest.fixture
def lines() -> Iterator[Lines]:
    log, handler = logging.getLogger("ordersmith"), Lines()
    log.addHandler(handler)
    yield handler
    log.removeHandler(handler)


def unreachable(folder: Path, where: Addresses) -> dict[str, Any]:
    keys = {"api_key": "PKSANDBOX00000000000", "api_secret": SECRET, "paper": True}
    return {
        "execution": {"mode": "paper", "provider": "alpaca", "alpaca": keys | msgspec.structs.asdict(where)},
        "journal": {"path": str(folder / "journal.db")},
        "service": {"stop_within": 5},
    }


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_broker_that_cannot_be_reached_is_named(
    folder: Path, port: int, lines: Lines, backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A line after a while and more later, with the address, the last error and what goes on; it opens once the broker is there."""
    monkeypatch.setattr(waiting, "PAUSES_S", QUICK)

    async def main() -> None:
        config = unreachable(folder, addresses(port))
        executor = AlpacaPaperExecutor(config)
        with anyio.fail_after(60):
            async with anyio.create_task_group() as group:
                go_on = anyio.Event()

                async def trade() -> None:
                    async with executor:
                        assert (await executor.get_account_info()).cash == 100_000
                        go_on.set()

                group.start_soon(trade)
                await lines.wait(2)
                with running_sandbox(prices="none", port=port, secret=SECRET):
                    await go_on.wait()

    anyio.run(main, backend=backend)
    for text in lines.texts:
        assert f"for the broker (alpaca, paper) at http://127.0.0.1:{port}: " in text
        assert "it goes on trying" in text
        assert SECRET not in text
    assert "no session: GET /account: NewConnectionError (Connection refused); it goes on" in lines.texts[-1]


def test_who_gives_up_is_told_nothing_more(
    folder: Path, port: int, lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A timeout around the `async with` ends the wait, and the lines."""
    monkeypatch.setattr(waiting, "PAUSES_S", (0.1,))

    async def main() -> int:
        async with anyio.create_task_group() as group:

            async def trade() -> None:
                async with AlpacaPaperExecutor(unreachable(folder, addresses(port))):
                    raise AssertionError("nobody is there")

            group.start_soon(trade)
            await lines.wait(1)
            group.cancel_scope.cancel()
        told = len(lines.texts)
        await anyio.wait_all_tasks_blocked()
        return told

    assert anyio.run(main) == len(lines.texts)


def test_a_broker_that_is_there_is_no_line(folder: Path, lines: Lines) -> None:
    """An executor that opens at once says nothing."""

    async def main() -> None:
        async with PaperExecutor(paper(folder), data=feed()) as executor:
            await executor.get_account_info()

    anyio.run(main)
    assert lines.texts == []


def test_the_first_line_comes_after_seconds_and_the_next_ones_rarely() -> None:
    """What is a second's trouble is not told, and an hour's makes no flood."""
    assert 2 <= waiting.PAUSES_S[0] <= 5
    assert all(later >= 30 for later in waiting.PAUSES_S[1:])
    assert list(waiting.PAUSES_S) == sorted(waiting.PAUSES_S)


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("https://paper-api.alpaca.markets", "https://paper-api.alpaca.markets"),
        ("http://me:secret@127.0.0.1:80/x", "http://127.0.0.1:80/x"),
    ],
)
def test_an_address_is_shown_without_a_password(address: str, shown: str) -> None:
    """A name and a password that stand in an address are left out."""
    assert without_user(address) == shown


def test_a_secret_in_an_error_is_hidden(folder: Path, port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever an error says, the keys of the configuration are not in the line."""
    settings = load_settings(unreachable(folder, addresses(port)))
    system = SimpleNamespace(
        settings=settings, broker=SimpleNamespace(address="http://here"), runtime=SimpleNamespace(core=object())
    )
    monkeypatch.setattr(waiting, "last_trouble", lambda core: f"refused {SECRET}")
    words = waiting.waiting_words(system, 3.2)  # type: ignore[arg-type]
    assert words.startswith("the executor has waited 3 s for the broker (alpaca, paper) at http://here: refused ***; ")
