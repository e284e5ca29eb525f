"""Every test of the adapter runs on both backends, most against an Alpaca that says what the test wants."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from scripted_alpaca import ScriptedAlpaca, scripted_alpaca


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture
def alpaca() -> Iterator[ScriptedAlpaca]:
    with scripted_alpaca() as made:
        yield made
