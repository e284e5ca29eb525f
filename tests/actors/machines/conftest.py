"""The machines calculate in the dispatcher's own decimal context, so their tests do too."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import localcontext

import pytest

from ordersmith.supervisor.dispatcher import ARITHMETIC


@pytest.fixture(autouse=True, scope="module")
def private_context() -> Iterator[None]:
    """Calculate as in a tick."""
    with localcontext(ARITHMETIC):
        yield
