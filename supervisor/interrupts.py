"""Ctrl-C under trio, which raises KeyboardInterrupt in whatever Python code runs just then: not in ours.

It then goes to the host's main task at its next checkpoint, where it ends the body of the `async with`, and that is an
orderly stop. asyncio cancels the main task instead, and needs nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar, TypeVarTuple

T = TypeVar("T")
Arguments = TypeVarTuple("Arguments")


def sheltered(
    function: Callable[[*Arguments], Coroutine[Any, Any, T]],
) -> Callable[[*Arguments], Coroutine[Any, Any, T]]:
    """Return the coroutine function as one that Ctrl-C does not break off in the middle of a step."""
    trio = sys.modules.get("trio")
    if trio is None:  # then it is not what runs here
        return function

    async def run(*arguments: *Arguments) -> T:
        return await function(*arguments)

    protected: Callable[[*Arguments], Coroutine[Any, Any, T]] = trio.lowlevel.enable_ki_protection(run)
    return protected
