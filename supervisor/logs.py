"""The log of the service: structlog and the standard library's logging as one stream on standard error, without secrets.

Nothing here happens on import, nor when Ordersmith is embedded: the host's logging is the host's. Every line ends in one
formatter, and what it has rendered is searched for the secrets once more before it is written, whoever logged it: a
library, a traceback, a mistake of ours.
"""

from __future__ import annotations

import base64
import json
import logging
import os
import sys
import urllib.parse
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from contextlib import contextmanager, suppress
from decimal import Decimal
from enum import Enum
from functools import lru_cache
from typing import Any, Final, TextIO

import structlog
from structlog.typing import EventDict, Processor

from ..config import InvalidSettings, Secret, Settings
from ..config.schema import values

CAPPED: Final = frozenset(
    {
        "aiohttp",
        "aiosqlite",
        "alpaca",
        "asyncio",
        "eventkit",
        "ib_async",
        "ib_insync",
        "requests",
        "urllib3",
        "websockets",
    }
)
"""Libraries that are heard from WARNING on: below it they log every frame and request, keys included."""

_HIDDEN = "***"
_SHORTEST_SECRET = 4
"""Characters. A shorter one is no secret, and hiding it would make the log unreadable."""
_FIRST = ("timestamp", "level", "event", "logger")


@contextmanager
def service_logging(settings: Settings, stream: TextIO | None = None) -> Iterator[None]:
    """Log to `stream`, or standard error, as `service.log` and `service.log_level` say; afterwards all is as it was before.

    For the process that `ordersmith run` is. `structlog.get_logger()` and `logging.getLogger()` both come out of it, and
    so do Python's warnings.
    """
    stream = sys.stderr if stream is None else stream
    level = logging.getLevelNamesMapping()[settings.service.log_level.upper()]
    handler = _Handler(stream)
    handler.setFormatter(_formatter(_form(settings, stream), hide(secrets_of(settings)), colours=_colours(stream)))
    handler.addFilter(_is_heard)
    before = structlog.get_config() if structlog.is_configured() else None
    loggers = [logging.getLogger(name) for name in ("", *sorted(CAPPED))]
    levels, handlers = [logger.level for logger in loggers], loggers[0].handlers[:]
    try:
        loggers[0].handlers[:] = [handler]
        for logger in loggers:
            logger.setLevel(max(level, logging.WARNING) if logger.name in CAPPED else level)
        logging.captureWarnings(True)
        structlog.configure(
            processors=[*_COMMON, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
            wrapper_class=structlog.make_filtering_bound_logger(level),
            logger_factory=structlog.stdlib.LoggerFactory(),
        )
        yield
    finally:
        logging.captureWarnings(False)
        handler.flush()
        loggers[0].handlers[:] = handlers
        for logger, old in zip(loggers, levels, strict=True):
            logger.setLevel(old)
        structlog.reset_defaults()
        if before is not None:
            structlog.configure(**before)


def secrets_of(settings: Settings) -> list[Secret]:
    """Return every secret that the settings hold."""
    return [value for _, value in values(settings) if isinstance(value, Secret)]


def hide(secrets: Sequence[Secret]) -> Callable[[str], str]:
    """Return a function that puts `***` in place of every secret in a text, also of one that is quoted or encoded.

    Each secret is revealed when a line is written, as the environment has it then.
    """

    def hidden(text: str) -> str:
        for secret in secrets:
            try:
                value = secret.reveal()
            except InvalidSettings:  # unset: there is nothing to hide
                continue
            for form in _forms(value):
                text = text.replace(form, _HIDDEN)
        return text

    return hidden


@lru_cache(maxsize=16)
def _forms(value: str) -> tuple[str, ...]:
    """Return how a secret may stand in a line: as it is, escaped, in an address, encoded, the longest first."""
    if len(value) < _SHORTEST_SECRET:
        return ()
    data = value.encode("utf-8", "backslashreplace")  # never fails
    written = {value, repr(value)[1:-1], ascii(value)[1:-1], repr(data)[2:-1]}
    encoded = {urllib.parse.quote(data), urllib.parse.quote(data, safe=""), urllib.parse.quote_plus(data)}
    encoded |= {base64.b64encode(data).decode().rstrip("="), data.hex()}
    in_json = {json.dumps(form, ensure_ascii=ascii_only)[1:-1] for form in written for ascii_only in (True, False)}
    return tuple(sorted(written | encoded | in_json, key=lambda form: (-len(form), form)))


class _Handler(logging.StreamHandler[TextIO]):
    """Writes a line, and where that fails says so without what was to be written: the library would show it unrendered."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the library's name
        with suppress(Exception):
            error = sys.exc_info()[0]
            self.stream.write(f"A log line of {record.name} was lost: {error.__name__ if error else 'unknown'}\n")


def _form(settings: Settings, stream: TextIO) -> str:
    chosen = settings.service.log
    return chosen if chosen != "auto" else "console" if stream.isatty() else "json"


def _colours(stream: TextIO) -> bool:
    return stream.isatty() and not os.environ.get("NO_COLOR")


def _is_heard(record: logging.LogRecord) -> bool:
    """Whether a line is written: a library may have set the level of its loggers after us."""
    return record.levelno >= logging.WARNING or record.name.partition(".")[0] not in CAPPED


_COMMON: Final[Sequence[Processor]] = (
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.StackInfoRenderer(),
)
"""What every line gets, from structlog or not. Tracebacks are rendered plainly: one with local variables would show secrets."""


def _formatter(form: str, hidden: Callable[[str], str], *, colours: bool) -> logging.Formatter:
    def without_secrets(logger: Any, name: str, rendered: Any) -> Any:
        return hidden(rendered)

    renderers: Sequence[Processor] = (
        [
            _with_plain_values,
            structlog.dev.ConsoleRenderer(colors=colours, exception_formatter=structlog.dev.plain_traceback),
        ]
        if form == "console"
        else [structlog.processors.format_exc_info, _with_plain_values, _in_order, _as_json]
    )
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=_COMMON,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderers, without_secrets],
    )


def _with_plain_values(logger: Any, name: str, event: EventDict) -> EventDict:
    """Show exact numbers and words of ours as a person would write them."""
    for key, value in event.items():
        if isinstance(value, Enum):
            event[key] = value.value
        elif isinstance(value, Decimal):
            event[key] = format(value, "f")
    return event


def _in_order(logger: Any, name: str, event: EventDict) -> EventDict:
    """Put first what every line has."""
    first: MutableMapping[str, Any] = {key: event.pop(key) for key in _FIRST if key in event}
    return {**first, **event}


def _as_json(logger: Any, name: str, event: Mapping[str, Any]) -> str:
    """Write one line; what JSON does not know is shown as Python shows it, so that logging never fails."""
    try:
        return json.dumps(event, ensure_ascii=False, default=repr)
    except (TypeError, ValueError):  # a key that is no text, or a value that contains itself
        return json.dumps({str(key): repr(value) for key, value in event.items()}, ensure_ascii=False)
