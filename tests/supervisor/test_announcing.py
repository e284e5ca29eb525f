"""What an embedded executor says aloud by itself: what needs a person, a lost session, a target given up, once that is durable."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from driven import feed
from embedded import fast_folder, paper

from ordersmith import Order, open_executor
from ordersmith.actors.events import TargetDropped
from ordersmith.actors.ports import Disconnected
from ordersmith.supervisor.inputs import Posted

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture
def folder() -> Iterator[Path]:
    with fast_folder() as found:
        yield found


async def test_a_target_that_is_given_up_is_a_warning(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The line has the symbol, what is held, what is missing and why; one that is reached is none, and `events()` has both."""
    with caplog.at_level(logging.DEBUG, "ordersmith"):
        async with open_executor(paper(folder), data=feed()) as executor:
            events = executor.events()  # type: ignore[attr-defined]
            market = executor.market()  # type: ignore[attr-defined]
            await anext(market)
            await executor.set_targets({"A": 10})
            await anext(market)
            (denied,) = await executor.set_targets({"A": 900_000})
            await anext(market)
        dropped = [record.event async for record in events if isinstance(record.event, TargetDropped)]
    assert [(event.reason, event.held, event.missing) for event in dropped] == [
        ("REACHED", None, None),
        (denied.reason, 10, 899_990),
    ]
    (line,) = [record for record in caplog.records if "target.dropped" in record.getMessage()]
    assert line.levelno == logging.WARNING
    assert (
        f"symbol=A reason={denied.reason} held=10 missing=899990 client_order_id={denied.client_order_id}"
        in line.getMessage()
    )
    assert denied.text in line.getMessage()


async def test_what_needs_a_person_is_an_error(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A halt is said aloud with its reason; that trading goes on again is no error, and nothing is said of orders that go well."""
    with caplog.at_level(logging.DEBUG, "ordersmith"):
        async with open_executor(paper(folder), data=feed()) as executor:
            market = executor.market()  # type: ignore[attr-defined]
            await anext(market)
            await executor.submit_orders([Order.buy("A", 10)])
            await executor.halt("the desk is on fire")  # type: ignore[attr-defined]
            await executor.resume("it is not")  # type: ignore[attr-defined]
    (line,) = [record for record in caplog.records if "trading_state.changed" in record.getMessage()]
    assert line.levelno == logging.ERROR
    assert "state=HALTED" in line.getMessage()
    assert "text='the desk is on fire'" in line.getMessage()
    assert not [record for record in caplog.records if "order." in record.getMessage()]


async def test_a_session_that_is_lost_is_a_warning_and_one_that_is_closed_is_none(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody has asked for anything, so nobody is answered; the session's end as the executor is left is asked for."""
    with caplog.at_level(logging.DEBUG, "ordersmith"):
        async with open_executor(paper(folder), data=feed()) as executor:
            runtime = executor._system.runtime  # type: ignore[attr-defined]
            runtime.put(Posted("connection/main", Disconnected("the line broke")))
            await runtime.idle()
    (line,) = [record for record in caplog.records if "connection.lost" in record.getMessage()]
    assert line.levelno == logging.WARNING
    assert "reason='the line broke'" in line.getMessage()
