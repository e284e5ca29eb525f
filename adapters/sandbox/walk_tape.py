"""Prices out of nothing: a walk that looks random, follows from the seed, and is known at every time, past and future.

It is a sum of noises, each smooth over twice the time of the one before and larger by the square root of two, as the steps of a
random walk are. So history needs no storage, and agrees with what was live.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from ...actors.bars import Row as Prices
from .frames import DAY, MINUTE, Frame
from .market import Row, row
from .stamps import NS, day_of, midnight_ns
from .tape import Span

SHORTEST_S = 4
OCTAVES = 21
"""From four seconds to seven weeks."""

SCALE = 4e-5
"""Of the logarithm of the price, for the square root of a second: about 1.5 % a day."""

TYPICAL = {
    "AAPL": 230.0,
    "AMZN": 220.0,
    "GOOG": 190.0,
    "IWM": 225.0,
    "META": 600.0,
    "MSFT": 430.0,
    "NVDA": 140.0,
    "QQQ": 510.0,
    "SPY": 590.0,
    "TSLA": 350.0,
}
_MASK = (1 << 64) - 1
_OPENS_S, _CLOSES_S = 34_200, 57_600
"""09:30 and 16:00 after midnight: what a day's bar is made of."""


class Noise(NamedTuple):
    """One layer of the walk."""

    period_s: int
    size: float
    salt: int


class WalkTape:
    """The walk of each of some symbols."""

    def __init__(self, symbols: Sequence[str], seed: int) -> None:
        self.symbols = tuple(symbols)
        self._layers = {symbol: _layers(symbol, seed) for symbol in symbols}
        self._level = {symbol: TYPICAL.get(symbol, 20.0 + zlib.crc32(symbol.encode()) % 200) for symbol in symbols}

    def price(self, symbol: str, at_s: float) -> float:
        """Return the price at a time, in whole cents."""
        moved = sum(layer.size * _smooth(layer.salt, at_s / layer.period_s) for layer in self._layers[symbol])
        return round(self._level[symbol] * math.exp(moved), 2)

    def opening(self, now_ns: int) -> dict[str, float]:
        return {symbol: self.price(symbol, now_ns / NS) for symbol in self.symbols}

    def spans(self, start_ns: int, steps: int) -> Iterator[Span]:
        start_s = start_ns / NS
        while True:
            times = [start_s + 60 * step / steps for step in range(1, steps + 1)]
            path = [{symbol: self.price(symbol, at) for symbol in self.symbols} for at in times]
            bars = {symbol: _prices([at[symbol] for at in path], symbol, start_s) for symbol in self.symbols}
            yield Span(60.0, bars, path)
            start_s += 60

    def history(self, symbol: str, frame: Frame, start_ns: int, end_ns: int, at_most: int) -> list[Row]:
        if symbol not in self._layers:
            return []
        return (
            self._intraday(symbol, frame, start_ns, end_ns, at_most)
            if frame.intraday
            else self._daily(symbol, frame, start_ns, end_ns, at_most)
        )

    def _intraday(self, symbol: str, frame: Frame, start_ns: int, end_ns: int, at_most: int) -> list[Row]:
        found: list[Row] = []
        at_ns = frame.begins_ns(start_ns + frame.seconds * NS - 1)
        while at_ns <= end_ns and len(found) < at_most:
            found.append(self._bar(symbol, at_ns, at_ns, frame.seconds))
            at_ns += frame.seconds * NS
        return found

    def _daily(self, symbol: str, frame: Frame, start_ns: int, end_ns: int, at_most: int) -> list[Row]:
        days: list[Row] = []
        at_ns = frame.begins_ns(start_ns)
        while at_ns <= end_ns and len(days) < at_most * max(frame.seconds // DAY.seconds, 1):
            if day_of(at_ns).weekday() < 5:
                days.append(self._bar(symbol, at_ns, at_ns + _OPENS_S * NS, _CLOSES_S - _OPENS_S))
            at_ns = midnight_ns(day_of(at_ns + 26 * 3600 * NS))  # an hour more, or less, on two days a year
        return [bar for bar in frame.gathered(days) if bar.at_ns >= start_ns][:at_most]

    def _bar(self, symbol: str, stamp_ns: int, from_ns: int, seconds: int) -> Row:
        looks = 4 if seconds <= MINUTE.seconds else 24
        start = from_ns / NS
        prices = [self.price(symbol, start + seconds * look / looks) for look in range(looks + 1)]
        return row(stamp_ns, *_prices(prices, symbol, start))


def _prices(path: list[float], symbol: str, at_s: float) -> Prices:
    """Return the bar over a path, with a volume that follows from the time."""
    volume = 100.0 * (50 + zlib.crc32(f"{symbol}/{int(at_s)}".encode()) % 450)
    return path[0], max(path), min(path), path[-1], volume


def _layers(symbol: str, seed: int) -> list[Noise]:
    return [
        Noise(
            SHORTEST_S << octave,
            SCALE * math.sqrt(SHORTEST_S << octave),
            zlib.crc32(f"{seed}/{symbol}/{octave}".encode()),
        )
        for octave in range(OCTAVES)
    ]


def _smooth(salt: int, at: float) -> float:
    """Return a number from -1 to 1 that runs smoothly from one whole `at` to the next."""
    below = math.floor(at)
    part = at - below
    weight = part * part * (3 - 2 * part)
    return _drawn(salt, below) * (1 - weight) + _drawn(salt, below + 1) * weight


def _drawn(salt: int, number: int) -> float:
    """Return a number from -1 to 1 that follows from the two, and looks as if it did not (Steele et al., SplitMix64)."""
    mixed = (salt * 0x9E3779B97F4A7C15 + number * 0xBF58476D1CE4E5B9) & _MASK
    mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & _MASK
    return ((mixed ^ (mixed >> 31)) >> 11) / (1 << 52) - 1.0
