"""Market data on its way to who watches it.

The last values themselves stay with the feed, so there is nothing here to rebuild.
"""

from __future__ import annotations

from .actor import Actor, handler
from .bars import Bars


class Market(Actor[Bars]):
    """Hands bars to the hosted strategies."""

    def __init__(self, watchers: tuple[str, ...]) -> None:
        self._watchers = watchers

    @handler
    def bars(self, message: Bars) -> None:
        for name in self._watchers:
            watcher = self.ctx.find(name)
            if watcher is not None:
                self.ctx.tell(watcher, message)
