"""Ids and chance, made of the seed and a counter that is in the broker's memory: the same story has the same ones."""

from __future__ import annotations

import hashlib

from .alpaca_state import State


class Chance:
    """What the broker would leave to chance."""

    def __init__(self, seed: int, state: State) -> None:
        self._seed = seed
        self._state = state

    def id(self) -> str:
        """Return an id that was not made before, shaped as a random UUID."""
        self._state.made += 1
        made = bytearray(self._digest("id", self._state.made))
        made[6] = made[6] & 0x0F | 0x40  # version 4 and the variant of RFC 9562, which clients check
        made[8] = made[8] & 0x3F | 0x80
        text = made.hex()
        return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"

    def number(self) -> int:
        """Return the next number of a sequence."""
        self._state.numbered += 1
        return self._state.numbered

    def happens(self, probability: float) -> bool:
        """Tell whether what has this probability happens. A probability of zero draws nothing."""
        return probability > 0 and self.below(1 << 53) < probability * (1 << 53)

    def below(self, bound: int) -> int:
        """Return a number from 0 to less than `bound`."""
        self._state.drawn += 1
        return int.from_bytes(self._digest("chance", self._state.drawn), "big") % bound

    def _digest(self, what: str, count: int) -> bytes:
        return hashlib.blake2b(f"{self._seed}:{what}:{count}".encode(), digest_size=16).digest()
