"""What a transport's exception says to a person: its kind, and what the operating system has said."""

from __future__ import annotations


def words_of(error: BaseException) -> str:
    """Return the kind of an error of requests, and the system's own words where there are any.

    The texts of requests and urllib3 are left out: they are full of objects, and may hold what was sent.
    """
    inner = getattr(error.args[0], "reason", None) if error.args else None
    reason = inner if isinstance(inner, BaseException) else error
    name, seen = type(reason).__name__, set[int]()
    cause: BaseException | None = reason
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        if isinstance(cause, OSError) and cause.strerror:
            return f"{name} ({cause.strerror})"
        cause = cause.__cause__ or cause.__context__
    return name
