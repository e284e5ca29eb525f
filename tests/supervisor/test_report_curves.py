"""Curves keep what a reader looks for, however few of their points are drawn."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ordersmith.supervisor.report_curves import (
    FEWEST_A_SYMBOL,
    MOST_A_SYMBOL,
    PriceCurve,
    drawdown,
    steps_a_point,
    thinned,
)

VALUES = st.floats(-1e6, 1e6)


@given(st.lists(VALUES, min_size=1, max_size=300), st.integers(4, 80))
def test_a_thinned_curve_is_made_of_points_of_the_whole(values, points):
    """It has at most so many points, in order, each of the whole, the first, the last and both extremes among them."""
    whole = list(zip(range(len(values)), values, strict=True))
    curve = thinned(range(len(values)), values, points)
    drawn = list(zip(curve.x, curve.y, strict=True))
    assert len(drawn) <= max(points, 4)
    assert drawn == sorted(set(drawn) & set(whole))
    assert drawn[0] == whole[0]
    assert drawn[-1] == whole[-1]
    assert (min(curve.y), max(curve.y)) == (min(values), max(values))
    assert (curve.whole, curve.is_thinned) == (len(values), len(drawn) < len(values))


@given(st.lists(VALUES, min_size=40, max_size=300), st.integers(1, 4))
def test_every_stretch_keeps_its_extremes(values, stretches):
    """A spike is drawn wherever it is, and not only where it is the highest of all."""
    kept = set(thinned(range(len(values)), values, 4 * stretches).y)
    for stretch in range(stretches):
        part = values[stretch * len(values) // stretches : (stretch + 1) * len(values) // stretches]
        assert {min(part), max(part)} <= kept


def test_a_short_curve_is_drawn_whole():
    """A curve with no more points than may be drawn is left as it is, and gaps are None."""
    curve = thinned(range(3), [1.0, math.nan, 2.0], 3)
    assert (curve.x, curve.y, curve.is_thinned) == ([0, 1, 2], [1.0, None, 2.0], False)


def test_gaps_do_not_hide_extremes():
    """What is not a number is no extreme; a stretch of gaps alone stays a gap."""
    curve = thinned(range(8), [math.nan, 5.0, 1.0, 3.0, math.nan, math.nan, math.nan, math.nan], 8 - 1)
    assert curve.y[:3] == [None, 5.0, 1.0]
    assert curve.y[3:] == [3.0, None, None] or None in curve.y[3:]
    assert {5.0, 1.0} <= set(curve.y)


@given(st.lists(st.floats(1, 1e6), min_size=1, max_size=100), st.floats(1, 1e6))
def test_drawdown_is_the_distance_from_the_highest_so_far(equity, initial):
    """Each point is measured against the highest of the start and everything up to it."""
    depths = drawdown(equity, initial)
    for at, depth in enumerate(depths):
        assert depth == equity[at] / max(initial, *equity[: at + 1]) - 1


BAR = st.tuples(st.floats(1, 100), st.floats(0, 10), st.floats(0, 1))


@given(st.lists(BAR, min_size=1, max_size=100), st.integers(1, 12))
def test_prices_are_summed_up_as_bars_are(bars, steps):
    """A point has the lowest low, the highest high and the last close of its bars, at the time of the last."""
    prices = PriceCurve()
    lows = [low for low, *_ in bars]
    highs = [low + size for low, size, _ in bars]
    closes = [low + size * share for low, size, share in bars]
    for step, (low, high, close) in enumerate(zip(lows, highs, closes, strict=True)):
        prices.add(step // steps, 1000 + step, (low, high, low, close, 1.0))
    for point, begin in enumerate(range(0, len(bars), steps)):
        end = min(begin + steps, len(bars))
        assert prices.low[point] == min(lows[begin:end])
        assert prices.high[point] == max(highs[begin:end])
        assert prices.close[point] == closes[end - 1]
        assert prices.x[point] == 1000 + end - 1
    assert len(prices.x) == math.ceil(len(bars) / steps)


@pytest.mark.parametrize("symbols", [0, 1, 4, 100, 5000])
@pytest.mark.parametrize("steps", [1, 4000, 4001, 1_000_000])
def test_a_price_curve_has_neither_too_many_points_nor_too_few(steps, symbols):
    """The points of all symbols share a budget, within bounds a symbol."""
    points = steps / steps_a_point(steps, symbols)
    assert points <= MOST_A_SYMBOL
    assert points >= min(steps, FEWEST_A_SYMBOL) / 2
