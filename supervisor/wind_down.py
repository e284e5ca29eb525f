"""`service.on_stop` of a system whose data may be over: then an order that waits for prices waits for ever.

It returns when the policy is fulfilled, or when nothing can change any more. The deadline is whoever's who calls.
"""

from __future__ import annotations

import logging

import anyio
import anyio.lowlevel

from ..actors.errors import OrdersmithError
from .live_plan import LiveSystem
from .on_stop import bring_to_an_end

LEAVE = "leave"

log = logging.getLogger("ordersmith")


async def wind_down(system: LiveSystem, policy: str) -> None:
    """Do what the policy says, as far as that is possible."""
    runtime, asked = system.runtime, False
    with anyio.CancelScope() as doing:

        async def changed() -> None:
            nonlocal asked
            if asked and system.is_over and runtime.is_idle:
                doing.cancel()
                await anyio.lowlevel.checkpoint()
            asked = True  # the first time it is told that its strategies have stopped
            await system.tick()

        try:
            await bring_to_an_end(runtime, policy, changed)
        except OrdersmithError as error:  # the journal fails, say: whoever stops has to stop all the same
            log.warning("the stop could not %s: %s", policy, error)
