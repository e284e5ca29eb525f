"""A service inside the test's own process: what ends it, and what arms it."""

from __future__ import annotations

import os
import signal
from contextlib import asynccontextmanager
from datetime import datetime

import anyio
import pytest
from service_process import STRATEGY, said_here, write_prices

from ordersmith.actors.bars import Bars
from ordersmith.actors.errors import ConfigError
from ordersmith.actors.model import as_datetime
from ordersmith.config import load
from ordersmith.supervisor import live_plan, run_needs
from ordersmith.supervisor.arming import PortFactories
from ordersmith.supervisor.core import Core
from ordersmith.supervisor.paper_broker import PaperBroker
from ordersmith.supervisor.price_source import feed_of
from ordersmith.supervisor.run_command import found
from ordersmith.supervisor.service import FAILED, LEFT_OVER, NO_JOURNAL, STOPPED, WRONG, Ending, Service, only_cause
from ordersmith.supervisor.strategies import load_strategy

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request):
    return request.param


@pytest.fixture
def config(tmp_path):
    """The mapping of a paper account at one bar a minute: nothing happens by itself while a test lasts."""
    (tmp_path / "hosted.py").write_text(STRATEGY)
    write_prices(tmp_path / "A.csv", 50)
    return {
        "execution": {"mode": "paper", "provider": "simulated", "paper": {"speed": 1, "file": str(tmp_path / "a.db")}},
        "data": {"path": str(tmp_path / "A.csv"), "timezone": "UTC"},
        "strategy": {"path": f"{tmp_path / 'hosted.py'}:Hosted"},
        "journal": {"path": str(tmp_path / "journal.db")},
        "service": {"log_level": "error", "control": False, "stop_within": 10},
    }


def made(config, overrides=(), live=None):
    settings = load(config, overrides)
    strategy = load_strategy(settings.strategy.path, {}, settings.base)
    return Service(settings, feed_of(settings), strategy, lambda: settings, live=live, version="0")


@asynccontextmanager
async def running(service):
    """Run a service for the length of a block; its ending is in the list."""
    endings = []

    async def run():
        endings.append(await service.run())

    with anyio.fail_after(30):
        async with anyio.create_task_group() as group:
            group.start_soon(run)
            yield endings


# --- What ends it ------------------------------------------------------------------------------------------------------


async def test_the_last_data_are_never_ahead_of_the_clock(config):
    """A bar that a feed stamps ahead is shown in the status as of now; one that is over, as of its end."""
    service = made(config)
    async with running(service):
        await service.runtime.ready.wait()
        now_ns = service.runtime.clock.now_ns()
        found = []
        for end_ns in (now_ns - 10**9, now_ns + 3600 * 10**9):
            service.system.shown(Bars(now_ns - 2 * 10**9, end_ns, 0, False, {}))
            found.append(datetime.fromisoformat(service.status().last_data))
        until_ns = service.runtime.clock.now_ns()
        service._tell_to_stop(Ending(STOPPED, "seen"))
    assert found[0] == as_datetime(now_ns - 10**9)
    assert as_datetime(now_ns) <= found[1] <= as_datetime(until_ns)


async def test_a_tree_that_gives_up_ends_the_service(config):
    """Trading is halted, the ending says so, and the status is that of a failure."""
    service = made(config)
    async with running(service) as endings:
        await service.runtime.ready.wait()
        while service.runtime.failure is None and not service.runtime.core.lifecycle.halted:
            service.runtime.core.lifecycle.crash("desk", RuntimeError("a defect"))
        service.runtime.look_again()
    ((status, text),) = endings
    assert status == FAILED
    assert "gave up" in text
    assert "a defect" in text


async def test_a_defect_of_the_runtime_ends_the_service(config, monkeypatch):
    """What no supervisor catches ends the process in order too, and is told as what it is."""
    service = made(config)
    async with running(service) as endings:
        await service.runtime.ready.wait()

        def tick(*_):
            raise ZeroDivisionError("a defect")

        monkeypatch.setattr(Core, "tick", tick)
        service.runtime.look_again()
    ((status, text),) = endings
    assert status == FAILED
    assert text == "a defect of Ordersmith: ZeroDivisionError('a defect')"


async def test_a_signal_before_anything_has_begun_ends_it(config):
    """Who stops a service that still opens its files need not wait until it trades."""
    service = made(config)
    opened, may_go_on = anyio.Event(), anyio.Event()
    open_broker = service.runtime.on_open

    async def on_open(last_ns):
        opened.set()
        await may_go_on.wait()
        await open_broker(last_ns)

    service.runtime.on_open = on_open
    async with running(service) as endings:
        await opened.wait()
        os.kill(os.getpid(), signal.SIGTERM)
        await service._stop.wait()
        may_go_on.set()
    assert endings == [(STOPPED, "stopped by SIGTERM")]
    assert not service.runtime.ready.is_set()


async def test_a_stop_that_takes_too_long_is_broken_off(config, monkeypatch):
    """Past service.stop_within the process ends as it is, and says that with a status of its own."""
    service = made(config, ["service.stop_within=0.05"])
    async with running(service) as endings:
        await service.runtime.ready.wait()
        monkeypatch.setattr(Core, "stopped", property(lambda _: False))
        os.kill(os.getpid(), signal.SIGINT)
    ((status, text),) = endings
    assert status == LEFT_OVER
    assert "not within 0.05 s" in text


async def test_the_limits_that_hold_are_compared_with_the_file(config):
    """After a tighter limit was taken over, the old one is a looser one."""
    service = made(config)
    tighter = load(config, ["risk.max_order_quantity=5"])
    files = [tighter, load(config)]
    service._again = lambda: files.pop(0)
    async with running(service):
        await service.runtime.ready.wait()
        await service._read_limits()
        assert service._settings.risk.max_order_quantity == 5
        await service._read_limits()
        assert service._settings.risk.max_order_quantity == 5
        await service.runtime.idle()
        assert service.runtime.core.plan.limits.max_order_quantity == 5
        os.kill(os.getpid(), signal.SIGTERM)


def test_an_exception_group_is_told_as_what_it_was_raised_for():
    """One cause is looked for through any depth; several stay a group."""
    cause = ValueError("x")
    assert only_cause(ExceptionGroup("a", [ExceptionGroup("b", [cause])])) is cause
    several = ExceptionGroup("a", [cause, KeyError()])
    assert only_cause(several) is several


def test_the_help_tells_every_exit_status():
    """What a unit file or a script needs to know stands in `ordersmith run --help`."""
    told = said_here("run", "--help").stdout
    listed = {int(line.split()[0]) for line in told.splitlines() if line.split() and line.split()[0].isdigit()}
    assert listed == {STOPPED, FAILED, WRONG, NO_JOURNAL, LEFT_OVER, 128 + signal.SIGINT}
    assert f"{128 + signal.SIGTERM}: by a second SIGTERM" in told


# --- What arms it ------------------------------------------------------------------------------------------------------


@pytest.fixture
def live_config(config, monkeypatch):
    """A configuration of live mode, and a broker for it: the paper broker, called alpaca, which an armed process alone gets."""
    handed = []

    def live(settings, armed):
        handed.append(armed)
        return PaperBroker

    factories = PortFactories(paper=lambda _: PaperBroker, live=live)
    monkeypatch.setitem(live_plan.PROVIDERS, "alpaca", factories)
    monkeypatch.setattr(run_needs, "PROVIDERS", ("simulated", "alpaca"))
    monkeypatch.setenv("ALPACA_API_KEY", "key-of-a-test")
    monkeypatch.setenv("ALPACA_API_SECRET", "secret-of-a-test")
    config["execution"] |= {"mode": "live", "provider": "alpaca", "alpaca": {"paper": False}}
    return config, handed


async def test_live_mode_trades_the_account_that_was_typed(live_config):
    """Armed for the account that the broker reports, the service becomes ready."""
    config, handed = live_config
    service = made(config, live="main")
    async with running(service) as endings:
        await service.runtime.ready.wait()
        assert service.status().session == "READY"
        assert service.status().mode == "live"
        os.kill(os.getpid(), signal.SIGTERM)
    assert endings[0].status == STOPPED
    assert [armed.account for armed in handed] == ["main"]


async def test_live_mode_sends_nothing_to_another_account(live_config):
    """A broker that reports another account than the one that was typed is refused, and the service ends without an order."""
    config, _ = live_config
    service = made(config, live="another")
    async with running(service) as endings:
        pass
    ((status, text),) = endings
    assert status == WRONG
    assert "account 'main', not for 'another'" in text
    assert not service.runtime.ready.is_set()


def test_live_mode_without_the_account_makes_no_broker(live_config, tmp_path):
    """Without --live, or with it for nothing, there is no port to send anything through, and no file either."""
    config, handed = live_config
    with pytest.raises(ConfigError, match="--live ACCOUNT"):
        made(config)
    with pytest.raises(ConfigError, match="--live ACCOUNT"):
        found(config, (), None)
    assert handed == []
    assert not (tmp_path / "journal.db").exists()
