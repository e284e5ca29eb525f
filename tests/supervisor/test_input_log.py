"""The input log of a session: where it lies, what it begins with, and that nothing waits for it."""

from __future__ import annotations

import json
import platform
from decimal import Decimal

import pytest
from live_kit import INSTRUMENTS, LIMITS
from recorded_session import MortalStore, RecordedWorld, SetClock, lose_the_port, trade

from ordersmith.actors.bars import Bars
from ordersmith.actors.errors import JournalError
from ordersmith.actors.messages import HaltTrading
from ordersmith.adapters import frame_file
from ordersmith.adapters.journal_reader import JournalReader
from ordersmith.adapters.record_codec import decode_record
from ordersmith.config import load
from ordersmith.supervisor.backlog import paced
from ordersmith.supervisor.input_log import AS_DATA, InputLog, InputLogReader, as_json, path_of, terms_of
from ordersmith.supervisor.inputs import Asked, Committed, Posted, PricesShown, Stopping
from ordersmith.supervisor.recovery import state_format
from ordersmith.supervisor.tree import Plan

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    return "asyncio"


async def test_it_lies_beside_the_journal_for_its_owner_alone(tmp_path):
    """Each boot has one, named by its number."""
    world = RecordedWorld(tmp_path)
    for boot in (1, 2):
        async with world.recorded():
            pass
        assert (tmp_path / f"journal.db.inputs-{boot}").stat().st_mode & 0o777 == 0o600
        assert path_of(world.journal, boot) == tmp_path / f"journal.db.inputs-{boot}"


async def test_it_begins_with_what_the_core_was_made_of(tmp_path):
    """Boot, head of the journal, seed, versions, settings, strategy and plan: what somebody needs to make such a core again."""
    world = RecordedWorld(tmp_path)
    async with world.recorded() as runtime:
        await trade(world, runtime)
    with JournalReader(world.journal) as reader:
        head = reader.head()
    async with world.recorded():
        pass
    with InputLogReader(world.log(2)) as logged:
        header, (beginning, _) = logged.header, logged.read()
    assert (header.boot, header.after, header.link) == (2, head.number, head.link)
    assert (header.python, header.ordersmith, header.seed) == (platform.python_version(), "0", 0)
    assert header.state_format == state_format()
    assert json.loads(header.settings)["strategy"]["parameters"] == {"size": 2}
    assert beginning.booted == logged_booted(world, head.number + 1)
    assert beginning.plan["limits"] == LIMITS
    assert beginning.plan["instruments"] == INSTRUMENTS
    assert (beginning.plan["id_prefix"], beginning.plan["port"], beginning.plan["backlog"]) == ("os-b2-", True, (1,))
    (source,) = beginning.strategies
    assert (source.name, source.kind, source.parameters) == ("steady", "Steady", {"size": 2})
    assert source.path == f"{world.strategy}:Steady"


def logged_booted(world, number):
    with JournalReader(world.journal) as reader:
        return decode_record(next(reader.read(number - 1))).event


async def test_every_tick_is_in_it(tmp_path):
    """Asks, reports, prices and commits, in order, up to the stop and the end."""
    world = RecordedWorld(tmp_path)
    async with world.recorded() as runtime:
        await trade(world, runtime)
        await lose_the_port(world, runtime)
    with InputLogReader(world.log()) as logged:
        _, ticks = logged.read()
        found = list(ticks)
        assert logged.complete
        assert logged.fault == ""
    made = [each for tick in found for each in tick.inputs]
    assert {type(each) for each in made} >= {Asked, Posted, Committed, PricesShown, Stopping}
    assert [tick.number for tick in found] == list(range(1, len(found) + 1))
    assert [tick.now_ns for tick in found] == sorted(tick.now_ns for tick in found)
    assert not all(tick.inputs for tick in found), "a timer alone is a tick as well"
    commits = [each.number for each in made if type(each) is Committed]
    assert commits == sorted(commits)
    with JournalReader(world.journal) as reader:
        assert commits[-1] == reader.head().number


async def test_a_log_of_that_name_ends_the_start(tmp_path):
    """It is what is left of another journal; it is named, and not touched."""
    world = RecordedWorld(tmp_path)
    world.log().write_bytes(b"precious")
    with pytest.raises(JournalError, match=r"inputs-1: there is an input log of this boot already.*move it away"):
        await world.runtime(store=(store := store_of(world)), input_log=InputLog(store)).run()
    assert world.log().read_bytes() == b"precious"


async def test_a_folder_without_rights_ends_the_start(tmp_path, monkeypatch):
    """Whoever asked for a log is told before anything happens."""
    world = RecordedWorld(tmp_path)

    def refused(path, begin, failed):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("ordersmith.supervisor.input_log.FrameWriter", refused)
    with pytest.raises(JournalError, match=r"journal\.db\.inputs-1: the input log cannot be made: Permission denied"):
        await world.runtime(store=(store := store_of(world)), input_log=InputLog(store)).run()


def store_of(world):
    return MortalStore(world.journal)


async def test_a_disk_that_fails_costs_the_log_and_nothing_else(tmp_path, monkeypatch):
    """There is a warning, and trading goes on."""

    def failing(descriptor, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(frame_file, "FLUSH_S", 0.001)
    monkeypatch.setattr(frame_file.os, "write", failing)
    world = RecordedWorld(tmp_path)
    async with world.recorded() as runtime:
        await trade(world, runtime)
        assert runtime.core.dispatcher.view("tally").fills == 3
    assert world.said == [f"{world.log()}: no more is written to it: No space left on device"]


async def test_an_input_that_cannot_be_written_ends_the_log_and_nothing_else(tmp_path):
    """A port that posts what nobody knows is named; up to there the log can be read."""
    world = RecordedWorld(tmp_path)
    async with world.recorded() as runtime:
        await trade(world, runtime)
        runtime.post("desk", object())
        await trade(world, runtime)
    assert len(world.said) == 1
    assert world.said[0].startswith("no more inputs are written down: builtins.object: a value of this type cannot be")
    with InputLogReader(world.log()) as logged:
        _, ticks = logged.read()
        assert len(list(ticks)) > 5
        assert not logged.complete


def test_no_secret_is_in_the_settings(monkeypatch):
    """Only where it comes from."""
    monkeypatch.setenv("ALPACA_API_SECRET", "hush-hush")
    text = as_json(load({"execution": {"alpaca": {"api_key": "the-key"}}}))
    assert "hush-hush" not in text
    assert "the-key" not in text
    assert "${ALPACA_API_SECRET}" in text
    assert json.loads(text)["execution"]["mode"] == "backtest"


def test_a_log_that_never_began_is_closed_without_a_word(tmp_path):
    """The journal could not be opened, say."""
    log = InputLog(store_of(RecordedWorld(tmp_path)))
    log.tick(1, [Stopping()])
    log.close()
    assert not path_of(tmp_path / "journal.db", 0).exists()


def test_a_plan_as_data_has_all_of_its_fields():
    """A new field is written down, or named among those that are not."""
    plan = Plan(
        account="a",
        id_prefix="p-",
        limits=LIMITS,
        breaker=None,  # type: ignore[arg-type]
        instruments=INSTRUMENTS,
        market=SetClock(),  # type: ignore[arg-type]
        shown=SetClock(),  # type: ignore[arg-type]
    )
    terms = terms_of(plan)
    assert set(Plan.__struct_fields__) - set(terms) == {"market", "shown", "strategies"}
    assert (terms["port"], terms["backlog"]) == (None, None)
    codec = InputLog(None)._codec  # type: ignore[arg-type]
    assert codec.decode(codec.encode(terms)) == terms


@pytest.mark.parametrize("speed", [Decimal(1), Decimal(60), None])
def test_how_fast_the_clock_is_comes_along(speed):
    """The backlog is measured in real time, so a replay must know how fast the session's clock was."""
    made = paced(lambda now_ns: (2, 60), speed)
    (said,) = AS_DATA["backlog"](made)
    assert said == speed
    assert made(0) == paced(lambda now_ns: (2, 60), said)(0) == (2, {1: 60, 60: 1, None: 0}[speed])


def test_what_is_in_hand_is_written_before_the_tick():
    """Messages may be changed by whoever made them later on: what counts is what the tick took in."""
    codec = InputLog(None)._codec  # type: ignore[arg-type]
    rows = {"A": (1.0, 1.0, 1.0, 1.0, 1.0)}
    data = codec.encode([1, [PricesShown(Bars(0, 1, 0, False, rows)), Posted("circuit_breaker", HaltTrading("x"))]])
    rows.clear()
    _, (shown, halt) = codec.decode(data)
    assert list(shown.bars.rows) == ["A"]
    assert halt == Posted("circuit_breaker", HaltTrading("x"))
