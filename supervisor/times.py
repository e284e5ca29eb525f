"""Times as text, for what a run leaves."""

from __future__ import annotations

from functools import lru_cache

from ..actors.model import as_datetime


@lru_cache(maxsize=1024)
def time_text(at_ns: int) -> str:
    """Write a time as ISO 8601 in UTC, to the microsecond where there is a fraction."""
    return f"{as_datetime(at_ns).replace(tzinfo=None).isoformat()}Z"
