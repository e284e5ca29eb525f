"""A sandbox for each contract case, as the case wants it, and the register of what the cases claim."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from alpaca_sandbox_kit import running_sandbox
from alpaca_wire import Market, Wire
from port_worlds import AlpacaWorld


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "source(where, sandbox=None): who says so, and what the sandbox has to be like")


@pytest.fixture
def alpaca(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Wire]:
    """Return an account of 100,000 at a broker whose market stands at 100 to 100.02 until a case moves it."""
    mark = request.node.get_closest_marker("source")
    assert mark is not None, "a contract case names its source: @pytest.mark.source(...)"
    options = dict(mark.kwargs.get("sandbox") or {})
    if options.pop("data", None) == "minutes":
        options["data"] = minutes(tmp_path)
    with running_sandbox(**{"prices": "none", **options}) as sandbox:
        wire = Wire(sandbox.addresses, sandbox.key, sandbox.secret)
        wire.market = Market(sandbox)
        try:
            for symbol in ("AAPL", "MSFT", "SPY"):
                wire.market.quote(symbol, 100, 100.02)
            yield wire
        finally:
            wire.close()


def minutes(folder: Path) -> Path:
    """Write ten minute bars each of two symbols."""
    data = folder / "data"
    data.mkdir()
    for symbol in ("AAPL", "SPY"):
        rows = [f"2024-01-02 09:{30 + minute}:00,100,101,99,100.5,1000" for minute in range(10)]
        (data / f"{symbol}.csv").write_text("\n".join(["time,open,high,low,close,volume", *rows, ""]))
    return data


@pytest.fixture
async def world() -> AsyncIterator[AlpacaWorld]:
    """Return Alpaca's sandbox, open."""
    made = AlpacaWorld()
    await made.open()
    try:
        yield made
    finally:
        await made.close()


@pytest.fixture
async def slow_world() -> AsyncIterator[AlpacaWorld]:
    """Return a broker at which a cancel takes a while."""
    made = AlpacaWorld(cancel_delay_ns=600_000_000)
    await made.open()
    try:
        yield made
    finally:
        await made.close()
