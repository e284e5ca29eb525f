"""Settings for a person to read and for a machine to compare, without the secrets."""

from __future__ import annotations

import hashlib
import sys
from datetime import date
from decimal import Decimal
from typing import Any

import msgspec
import yaml

from .kinds import Section
from .problems import path_text
from .schema import shapes, values
from .secrets import Secret, escape
from .settings import Settings
from .yaml_reader import read

_ENCODER = msgspec.json.Encoder(order="deterministic", decimal_format="number")


def describe(settings: Settings) -> list[tuple[str, str]]:
    """Return every setting in effect as (path, YAML value), in the schema's order.

    `path=value` is a `--set` that gives the same setting, except where a secret is hidden: there the names of
    environment variables stay and the rest is `***`.
    """
    return [(path_text(path), _written(value)) for path, value in values(settings)]


def digest(settings: Settings) -> str:
    """Return the SHA-256, in hexadecimal, of the settings without the secrets and `base`.

    Equal settings have equal digests however they were written: 0.10 is 0.1, and the order of symbols in a table does
    not count.
    """
    return hashlib.sha256(_ENCODER.encode(_canonical(settings))).hexdigest()


def _written(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int() | Decimal():
            return number_text(value)
        case str():
            return _quoted(escape(value))
        case Secret():
            return _quoted(str(value))
        case date():
            return value.isoformat()
        case dict():
            return f"{{{', '.join(f'{_in_quotes(key)}: {_written(item)}' for key, item in value.items())}}}"
        case _:
            return f"[{', '.join(map(_written, value))}]"


def number_text(value: int | Decimal) -> str:
    """Write a number without exponent, superfluous zeros or the sign of zero."""
    text = format(value, "f") if isinstance(value, Decimal) else str(value)
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return text if value else "0"


def _quoted(text: str) -> str:
    """Leave text plain where YAML, alone and inside a list, reads it back unchanged."""
    return text if read(text).value == text and read(f"[{text}]").value == [text] else _in_quotes(text)


def _in_quotes(text: str) -> str:
    return str(yaml.safe_dump(text, default_style='"', width=sys.maxsize, allow_unicode=True)).strip()


def _canonical(value: Any) -> Any:
    match value:
        case Section():
            fields = {key: getattr(value, key) for key in shapes(type(value))}
            return {key: _canonical(item) for key, item in fields.items() if not isinstance(item, Secret)}
        case dict():
            return {key: _canonical(item) for key, item in value.items()}
        case list() | tuple():
            return [_canonical(item) for item in value]
        case Decimal():
            return Decimal(number_text(value))
        case _:
            return value
