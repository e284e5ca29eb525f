"""Settings: what they are, where they are read from, and what is wrong with them."""

from __future__ import annotations

from .describing import describe, digest
from .loading import examine, load
from .problems import InvalidSettings, Problem
from .secrets import Secret
from .settings import Settings, nanoseconds

__all__ = ["InvalidSettings", "Problem", "Secret", "Settings", "describe", "digest", "examine", "load", "nanoseconds"]
