"""Where chance comes from: one stream of numbers for each part, so that a draw in one part changes nothing in another."""

from __future__ import annotations

from random import Random


class Chance:
    """All the randomness of one seed."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def stream(self, name: str) -> Random:
        """Return the numbers of one part. Text seeds `Random` the same on every machine."""
        return Random(f"{self.seed} {name}")  # noqa: S311 - reproducible on purpose
