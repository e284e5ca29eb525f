"""What a paper venue is moved by, in the order in which it came: with the bars of the feed this is all that it depends on.

A venue on live quotes has no feed that could be read again, so its quotes are among them (`quoted_venue.py` says which).
"""

from __future__ import annotations

import msgspec

from ...actors.ports import CancelRequest, NewOrder, ReplaceRequest, StatusRequest
from ...actors.quotes import Quote


class VenueInput(msgspec.Struct, frozen=True, array_like=True, tag=True, gc=False):
    """One thing that happened to the venue."""


class Stepped(VenueInput, frozen=True, tag="b"):
    """The next `count` bars of the feed were matched, and the orders had nothing to say of all but the last."""

    count: int


class Shown(VenueInput, frozen=True, tag="s"):
    """Whoever sends orders has seen the last bars."""


class Delivered(VenueInput, frozen=True, tag="d"):
    """Commands that were under way arrived, inside the bar that began at `bar_start_ns` if one is given."""

    until_ns: int
    bar_start_ns: int | None


class DeliveredLate(VenueInput, frozen=True, tag="l"):
    """What arrived inside the last bar took effect, and what else was due by then."""

    until_ns: int


class NewSent(VenueInput, frozen=True, tag="n"):
    """An order was sent at `at_ns`."""

    command: NewOrder
    at_ns: int


class CancelSent(VenueInput, frozen=True, tag="c"):
    """A cancel was sent."""

    command: CancelRequest
    at_ns: int


class ReplaceSent(VenueInput, frozen=True, tag="r"):
    """A replacement was sent."""

    command: ReplaceRequest
    at_ns: int


class StatusAsked(VenueInput, frozen=True, tag="q"):
    """An order was asked about, and the question takes its place among the order's commands on their way."""

    command: StatusRequest
    at_ns: int


class Quoted(VenueInput, frozen=True, tag="p"):
    """Live quotes came: the last of each symbol since they were taken down last, in the order in which they came."""

    quotes: tuple[Quote, ...]
    at_ns: int


class SessionBegan(VenueInput, frozen=True, tag="o"):
    """The session `day` opened; it was to close at `close_ns`."""

    day: int
    open_ns: int
    close_ns: int


class SessionOver(VenueInput, frozen=True, tag="e"):
    """The session that was open closed."""


SENT: dict[type, type[NewSent | CancelSent | ReplaceSent | StatusAsked]] = {
    NewOrder: NewSent,
    CancelRequest: CancelSent,
    ReplaceRequest: ReplaceSent,
    StatusRequest: StatusAsked,
}
"""The commands that may change a venue; what else it is asked, it only answers."""

AnyInput = (
    Stepped
    | Shown
    | Delivered
    | DeliveredLate
    | NewSent
    | CancelSent
    | ReplaceSent
    | StatusAsked
    | Quoted
    | SessionBegan
    | SessionOver
)
