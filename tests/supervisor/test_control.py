"""The control socket of a running core: who may use it, what it bears, and what it does."""

from __future__ import annotations

import json
import os
import socket
import stat
import tempfile
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path

import anyio
import msgspec
import pytest
from anyio.streams.buffered import BufferedByteReceiveStream
from live_kit import ExchangePort, LiveWorld

from ordersmith.actors.bars import Bars
from ordersmith.actors.errors import ConfigError, JournalError
from ordersmith.actors.messages import SubmitOrders
from ordersmith.actors.model import Order, OrderType, Side, TradingState, exactly
from ordersmith.actors.ports import CommandKind, NewOrder, OutcomeUnknown, StatusRequest
from ordersmith.adapters.simulated.broker import SimulatedBroker
from ordersmith.supervisor import control, control_socket
from ordersmith.supervisor.control import serve_control
from ordersmith.supervisor.control_requests import REQUEST_BYTES, Answer, GetStatus
from ordersmith.supervisor.control_socket import control_path, socket_path
from ordersmith.supervisor.operations import Operations
from ordersmith.supervisor.status import status_of

pytestmark = pytest.mark.anyio
MINUTE_NS = 60_000_000_000


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request):
    return request.param


async def nothing(request):
    return Answer(True, "done", repr(request))


@asynccontextmanager
async def served(journal, carry=nothing):
    async with anyio.create_task_group() as group:
        path = await group.start(serve_control, journal, carry)
        yield path
        group.cancel_scope.cancel()


class Caller:
    def __init__(self, stream):
        self.stream = stream
        self.lines = BufferedByteReceiveStream(stream)

    async def say(self, line):
        with anyio.fail_after(10):
            await self.stream.send(line if isinstance(line, bytes) else json.dumps(line).encode() + b"\n")
            return json.loads(await self.lines.receive_until(b"\n", 1 << 20))


@asynccontextmanager
async def calling(journal):
    async with await anyio.connect_unix(socket_path(journal)) as stream:
        yield Caller(stream)


# --- The socket --------------------------------------------------------------------------------------------------------


async def test_the_socket_is_the_owners_alone_and_goes_with_the_service(tmp_path):
    """It lies beside the journal with mode 0600 while it is served, and not a moment longer."""
    journal = tmp_path / "journal.db"
    async with served(journal) as path:
        assert path == control_path(journal) == tmp_path / "journal.db.control"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        async with calling(journal) as caller:
            assert (await caller.say({"do": "status"}))["done"]
    assert list(tmp_path.iterdir()) == []


async def test_the_socket_of_a_dead_process_is_replaced(tmp_path):
    """What a killed service left in the place of the socket is in nobody's way."""
    journal = tmp_path / "journal.db"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(control_path(journal)))
    async with served(journal), calling(journal) as caller:
        assert (await caller.say({"do": "status"}))["done"]


async def test_the_socket_of_the_next_service_is_left_alone(tmp_path):
    """Who ends late removes its own socket, and not that of the process that has taken its place."""
    journal = tmp_path / "journal.db"
    async with served(journal):
        async with served(journal):
            pass
        assert not control_path(journal).exists()
        with socket.socket(socket.AF_UNIX) as successor:
            successor.bind(str(control_path(journal)))
    assert control_path(journal).exists()


async def test_what_is_no_socket_is_not_removed(tmp_path):
    """A file of somebody's under the socket's name stays, and the service says that it is in the way."""
    journal = tmp_path / "journal.db"
    control_path(journal).write_text("mine")
    with pytest.raises(ConfigError, match=r"service\.control.*journal\.db\.control"):
        await serve_control(journal, nothing)
    assert control_path(journal).read_text() == "mine"


async def test_a_path_that_is_too_long_for_a_socket_gets_a_link_to_a_short_one(tmp_path, monkeypatch):
    """The client finds it all the same, the folder is this user's alone, and both are gone afterwards."""
    with tempfile.TemporaryDirectory() as short:
        monkeypatch.setenv("XDG_RUNTIME_DIR", short)
        await check_long_path(tmp_path)


async def check_long_path(tmp_path):
    folder = tmp_path / ("a" * 60) / ("b" * 60)
    folder.mkdir(parents=True)
    journal = folder / "journal.db"
    async with served(journal) as path:
        assert len(os.fsencode(path)) <= control_socket.PATH_BYTES < len(os.fsencode(control_path(journal)))
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        async with calling(journal) as caller:
            assert (await caller.say({"do": "status"}))["done"]
    assert list(folder.iterdir()) == list(path.parent.iterdir()) == []


async def test_a_short_folder_that_others_may_enter_is_not_used(tmp_path, monkeypatch):
    """Nobody can prepare a folder for us in which the socket would be theirs."""
    with tempfile.TemporaryDirectory() as short:
        monkeypatch.setenv("XDG_RUNTIME_DIR", short)
        prepared = Path(short) / f"ordersmith-{os.getuid()}"
        prepared.mkdir()
        prepared.chmod(0o777)
        with pytest.raises(ConfigError, match="only this user may enter"):
            await serve_control(tmp_path / ("a" * 60) / ("b" * 60) / "journal.db", nothing)


# --- What callers say ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    [
        b"nonsense\n",
        b"\n",
        b"\xff\xfe\n",
        b"[" * 50_000 + b"\n",
        b'{"do": "sell everything"}\n',
        b'{"do": "halt"}\n',
        b'{"do": "halt", "reason": "  "}\n',
        b'{"do": "halt", "reason": "x", "also": 1}\n',
        b'{"do": "cancel", "order_ids": [' + b'"",' * 5 + b'""]}\n',
        b'{"do": "resolve order", "order_id": "a", "verdict": "gone", "reason": "x"}\n',
    ],
)
async def test_what_is_not_understood_is_told_and_the_call_goes_on(tmp_path, line):
    """A line that is no request changes nothing, and the caller may try again."""
    journal = tmp_path / "journal.db"
    async with served(journal), calling(journal) as caller:
        answer = await caller.say(line)
        assert not answer["done"]
        assert answer["text"].startswith("not understood")
        assert (await caller.say({"do": "halt", "reason": "x"}))["done"]


async def test_a_line_without_end_is_cut_off(tmp_path):
    """A caller who sends more than a request can be is told so and hung up on; others are served."""
    journal = tmp_path / "journal.db"
    async with served(journal):
        async with calling(journal) as caller:
            assert "at most" in (await caller.say(b"x" * (REQUEST_BYTES + 1)))["text"]
            with anyio.fail_after(10), pytest.raises((anyio.EndOfStream, anyio.BrokenResourceError)):
                await caller.stream.receive()
        async with calling(journal) as caller:
            assert (await caller.say({"do": "status"}))["done"]


async def test_a_caller_who_hangs_up_in_the_middle_harms_nobody(tmp_path):
    """Half a line and an answer that nobody reads leave the server as it was."""
    journal = tmp_path / "journal.db"
    async with served(journal):
        async with await anyio.connect_unix(socket_path(journal)) as stream:
            await stream.send(b'{"do": "sta')
        async with await anyio.connect_unix(socket_path(journal)) as stream:
            await stream.send(b'{"do": "status"}\n')
        async with calling(journal) as caller:
            assert (await caller.say({"do": "status"}))["done"]


async def test_a_silent_caller_is_hung_up_on(tmp_path, monkeypatch):
    """Who says nothing for a while does not keep a place for ever."""
    monkeypatch.setattr(control, "SILENCE_S", 0.01)
    async with served(tmp_path / "journal.db"), calling(tmp_path / "journal.db") as caller:
        with anyio.fail_after(10), pytest.raises((anyio.EndOfStream, anyio.BrokenResourceError)):
            await caller.stream.receive()


async def test_callers_beyond_the_bound_are_turned_away(tmp_path, monkeypatch):
    """A few may ask at a time; one more is told to try again, and may when another has left."""
    monkeypatch.setattr(control, "CALLERS", 1)
    journal = tmp_path / "journal.db"
    async with served(journal):
        async with calling(journal) as first:
            assert (await first.say({"do": "status"}))["done"]
            async with calling(journal) as second:
                with anyio.fail_after(10):
                    answer = json.loads(await second.lines.receive_until(b"\n", 1000))
                assert "try again" in answer["text"]
        with anyio.fail_after(10):
            while True:
                async with calling(journal) as third:
                    if (await third.say({"do": "status"}))["done"]:
                        break


async def test_what_goes_wrong_is_an_answer(tmp_path, monkeypatch, caplog):
    """Trouble is told in its own words, a defect is logged and told without details, an answer that never comes is bounded."""

    async def carry(request):
        if request.reason == "trouble":
            raise JournalError("the disk is full")
        if request.reason == "defect":
            raise KeyError("secret detail")
        await anyio.sleep_forever()

    monkeypatch.setattr(control, "ANSWER_WITHIN_S", 0.01)
    journal = tmp_path / "journal.db"
    async with served(journal, carry), calling(journal) as caller:
        answers = [await caller.say({"do": "halt", "reason": reason}) for reason in ("trouble", "defect", "wait")]
    assert not any(answer["done"] for answer in answers)
    assert answers[0]["text"] == "the disk is full"
    assert "defect" in answers[1]["text"]
    assert "secret detail" not in answers[1]["text"]
    assert "secret detail" in caplog.text
    assert "may still be carried out" in answers[2]["text"]


async def test_an_answer_that_is_too_long_is_shortened(tmp_path, monkeypatch):
    """An answer has a bound as well: then it has the words without what they are made of."""
    monkeypatch.setattr(control, "ANSWER_BYTES", 100)

    async def carry(request):
        return Answer(True, "much", ["x" * 100])

    async with served(tmp_path / "journal.db", carry), calling(tmp_path / "journal.db") as caller:
        assert await caller.say({"do": "status"}) == {"done": True, "text": "much", "result": None}


# --- What they can do --------------------------------------------------------------------------------------------------


def order(order_id, **terms):
    terms = {"quantity": 10, "order_type": OrderType.LIMIT, "limit_price": "5"} | terms
    return exactly(Order(symbol="A", side=Side.BUY, client_order_id=order_id, **terms))


class LosingPort(ExchangePort):
    """Does not know what becomes of an order called lost."""

    async def run(self, line):
        accept = SimulatedBroker.accept

        def lose(broker, command, cause):
            if isinstance(command, NewOrder) and command.order.client_order_id == "lost":
                line.post(OutcomeUnknown(command.wire_id, CommandKind.NEW, "the line broke"), cause)
            elif not isinstance(command, StatusRequest):
                accept(broker, command, cause)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(SimulatedBroker, "accept", lose)
            await super().run(line)


@asynccontextmanager
async def trading(tmp_path, port=ExchangePort):
    """Run a core with a price and a control socket; yield the world, the runtime and a caller."""
    world = LiveWorld(tmp_path)
    world.port = lambda: port(world.exchange)
    async with world.running() as runtime:
        now = runtime.clock.now_ns()
        await world.trade(runtime, Bars(now - MINUTE_NS, now, 1, False, {"A": (10.0, 11.0, 9.0, 10.0, 1e6)}))
        about = {"mode": "paper", "provider": "simulated", "journal": str(world.journal)}
        operations = Operations(runtime, lambda: status_of(runtime, about, now))
        async with served(world.journal, operations.carry), calling(world.journal) as caller:
            yield world, runtime, caller


async def submit(runtime, *orders):
    with anyio.fail_after(10):
        return await runtime.ask("desk", SubmitOrders(orders))


async def test_the_status_says_how_it_is(tmp_path):
    """Trading state, session, open orders and the end of the journal, which is durable when it is told."""
    async with trading(tmp_path) as (_, runtime, caller):
        await submit(runtime, order("one"), order("two"))
        with anyio.fail_after(10):
            await runtime.idle()
        status = (await caller.say({"do": "status"}))["result"]
        last = runtime.last_record()
    assert (status["trading_state"], status["session"], status["open"]) == ("ACTIVE", "READY", 2)
    assert [line["client_order_id"] for line in status["orders"]] == ["one", "two"]
    assert status["in_doubt"] == status["needing_person"] == status["quarantined"] == 0
    assert status["boot"] == 1
    assert status["process"] == os.getpid()
    number, _, link = status["head"].partition(":")
    assert int(number) == last
    assert len(link) == 64


async def test_halt_denies_orders_until_resume(tmp_path):
    """A person's halt is durable, denies what adds risk with that reason, and ends by a person's word."""
    async with trading(tmp_path) as (_, runtime, caller):
        answer = await caller.say({"do": "halt", "reason": "look at it first"})
        assert answer["result"] == {"trading_state": "HALTED"}
        status = (await caller.say({"do": "status"}))["result"]
        assert (status["trading_reason"], status["trading_text"]) == ("MANUAL", "look at it first")
        (denied,) = await submit(runtime, order("one"))
        assert denied.state == "REJECTED"
        answer = await caller.say({"do": "resume", "reason": "looked"})
        assert answer["result"] == {"trading_state": "ACTIVE"}
        (taken,) = await submit(runtime, order("two"))
        assert taken.state == "SUBMITTED"


async def test_cancel_takes_ids_or_all(tmp_path):
    """Named orders are cancelled, what is closed or unknown is said, and all means what is open."""
    async with trading(tmp_path) as (_, runtime, caller):
        await submit(runtime, *(order(f"o{number}") for number in range(4)))
        answer = await caller.say({"do": "cancel", "order_ids": ["o1", "nobody"]})
        assert answer["done"]
        assert answer["result"] == {"cancelling": ["o1"], "not": ["nobody"]}
        with anyio.fail_after(10):
            await runtime.idle()
        answer = await caller.say({"do": "cancel", "every": True})
        assert answer["result"] == {"cancelling": ["o0", "o2", "o3"], "not": []}
        with anyio.fail_after(10):
            await runtime.idle()
        assert (await caller.say({"do": "status"}))["result"]["open"] == 0
        assert (await caller.say({"do": "cancel", "every": True}))["text"] == "no order is open"
        assert not (await caller.say({"do": "cancel", "order_ids": ["nobody"]}))["done"]
        assert not (await caller.say({"do": "cancel"}))["done"]
        assert not (await caller.say({"do": "cancel", "order_ids": ["o1"], "every": True}))["done"]


async def test_what_the_domain_refuses_is_told_in_its_words(tmp_path):
    """An order that is neither in doubt nor quarantined, and a symbol that is not frozen, have nothing to resolve."""
    async with trading(tmp_path) as (_, runtime, caller):
        await submit(runtime, order("one"))
        resolve = {"do": "resolve order", "order_id": "one", "verdict": "absent", "reason": "looked"}
        answer = await caller.say(resolve)
        assert not answer["done"]
        assert "nothing to resolve" in answer["text"]
        answer = await caller.say(resolve | {"order_id": "nobody"})
        assert not answer["done"]
        assert "nobody" in answer["text"]
        answer = await caller.say({"do": "resolve symbol", "symbol": "A", "verdict": "adopt", "reason": "looked"})
        assert not answer["done"]
        assert "A" in answer["text"]


async def test_an_order_in_doubt_is_resolved_by_a_person(tmp_path):
    """An order whose outcome is unknown is listed first, and filled by a person's word at the price that it names."""
    async with trading(tmp_path, LosingPort) as (_, runtime, caller):
        await submit(runtime, order("fine"), order("lost"))
        with anyio.fail_after(10):
            while not (status := (await caller.say({"do": "status"}))["result"])["in_doubt"]:
                pass
        assert status["orders"][0]["client_order_id"] == "lost"
        resolve = {"do": "resolve order", "order_id": "lost", "verdict": "filled", "reason": "seen", "price": "4.99"}
        answer = await caller.say(resolve)
        assert answer["done"], answer
        assert answer["result"]["state"] == "FILLED"
        assert Decimal(answer["result"]["notional"]) == Decimal("49.9")


class Troubled:
    """A runtime whose journal cannot be written until the cause is gone."""

    def __init__(self):
        self.fault = "the disk is full"
        self.cause_is_gone = False
        self.asked = []

    async def mend(self):
        if not self.cause_is_gone:
            raise JournalError(self.fault)
        self.fault = ""

    async def ask(self, actor, request):
        self.asked.append((actor, type(request).__name__))
        return TradingState.ACTIVE


async def test_resume_tries_the_journal_again_first(tmp_path):
    """Nobody resumes trading on a journal that cannot be written; once the cause is gone, resuming mends it."""
    runtime = Troubled()
    journal, resume = tmp_path / "journal.db", {"do": "resume", "reason": "space was made"}
    async with served(journal, Operations(runtime, lambda: None).carry), calling(journal) as caller:
        assert await caller.say(resume) == {"done": False, "text": "the disk is full", "result": None}
        assert runtime.asked == []
        runtime.cause_is_gone = True
        assert (await caller.say(resume))["done"]
    assert runtime.asked == [("circuit_breaker", "ResumeTrading")]


class Writing:
    """A runtime whose last records are not durable yet."""

    def __init__(self):
        self.store = self
        self.head = "1:before"

    def last_record(self):
        return 7

    async def reaches(self, number):
        assert number == 7
        self.head = "7:after"


class Said(msgspec.Struct):
    trading_state: str = "ACTIVE"
    head: str = ""


async def test_a_status_waits_until_what_it_says_is_durable():
    """Nobody is told what a power cut could still undo."""
    answer = await Operations(Writing(), Said).carry(GetStatus())
    assert answer.result.head == "7:after"
