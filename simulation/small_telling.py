"""How a state of the small model is told to a person who reads a trace."""

from __future__ import annotations

from collections.abc import Iterable

from .small_core import BEGIN_NS, SECOND_NS
from .small_state import State
from .small_world import SmallWorld


def told(world: SmallWorld, state: State) -> str:
    """Return one line about a state: the time, our order, the session, the broker's order, and what is under way."""
    folded, truth = world.core.state(state.folded), world.truths.things[state.truth]
    order = folded.order
    if order is None:
        ours = "no order"
    else:
        questions = {"new": order.new, "cancel": order.cancel}
        asked = "".join(f" {kind}={pending}" for kind, pending in questions.items() if pending != "no")
        doubt = " in doubt" if order.in_doubt else ""
        ours = f"{order.proof} {order.filled_quantity} filled{asked}{doubt}"
    parts = [
        f"t={(state.now_ns - BEGIN_NS) / SECOND_NS:g} s",
        f"ours: {ours}, {folded.session.phase}",
        f"broker's: {truth.state or 'no order'} {truth.filled} filled",
        *(
            f"{where}: {_names(world, words)}"
            for where, words in (("port", state.port), ("to the broker", state.wire), ("to us", state.reports))
            if words
        ),
    ]
    if state.waiting:
        parts.append(f"{len(state.waiting)} not durable")
    return "; ".join(parts)


def _names(world: SmallWorld, words: Iterable[int]) -> str:
    return ", ".join(type(world.core.words.things[word]).__name__ for word in words)
