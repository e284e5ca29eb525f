"""A broker that does not let us in: the runtime ends and says why, and the next one starts anew."""

from __future__ import annotations

from typing import Any

import anyio
import pytest
from live_kit import LiveWorld, connected

from ordersmith.actors.account_events import SessionDenied
from ordersmith.actors.errors import BrokerAuthError
from ordersmith.actors.ports import Connect, ConnectRefused
from ordersmith.adapters.io_actor import IoActor, Line
from ordersmith.adapters.journal_reader import JournalReader
from ordersmith.adapters.record_codec import decode_record

pytestmark = pytest.mark.anyio
WHY = "Alpaca does not know the key PK…7"


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    return request.param


class ClosedPort(IoActor):
    """Is let in by nobody."""

    def __init__(self) -> None:
        self.taken: list[Any] = []

    async def run(self, line: Line) -> None:
        while True:
            command, cause = await line.receive()
            self.taken.append(command)
            if isinstance(command, Connect):
                line.post(ConnectRefused(WHY), cause)


class DeniedWorld(LiveWorld):
    """A world whose broker lets in nobody until the port is another."""

    closed = True

    def port(self) -> IoActor:
        if not self.closed:
            return super().port()
        self.ports.append(ClosedPort())
        return self.ports[-1]


async def test_a_runtime_that_is_not_let_in_ends_with_the_reason(tmp_path: Any) -> None:
    """A key that the broker refuses is for a person: the error says so, nothing else was sent, and a boot asks again."""
    world = DeniedWorld(tmp_path)
    with anyio.fail_after(10), pytest.raises(BaseException) as caught:  # noqa: PT011 - what it must be is looked at below
        await world.runtime().run()
    error: BaseException | None = caught.value
    while isinstance(error, BaseExceptionGroup):
        (error,) = error.exceptions
    assert isinstance(error, BrokerAuthError)
    assert str(error) == f"the broker refuses the session: {WHY}; nothing was sent, and nothing will be"
    (port,) = world.ports
    assert isinstance(port, ClosedPort)
    assert [type(command) for command in port.taken] == [Connect]
    with JournalReader(world.journal) as journal:
        events = [decode_record(data).event for data in journal.read()]
    assert [event for event in events if isinstance(event, SessionDenied)] == [SessionDenied("main", WHY)]
    world.closed = False
    async with world.running() as runtime:
        with anyio.fail_after(10):
            await runtime.idle()
        assert connected(runtime)
