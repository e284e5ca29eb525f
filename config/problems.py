"""What is wrong with a configuration: every problem at once, each with its path, the value found and what would be accepted."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from datetime import date
from decimal import Decimal

import msgspec

KeyPath = tuple[str, ...]
"""The keys from the root of a document to a value; an item of a list is the key `[0]`."""

_PLAIN_KEY = re.compile(r"[^\s.=\"'\[\]]+|\[\d+\]")
_LONGEST_SHOWN = 60


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is wrong.

    `path` is written as `--set` takes it, empty for the whole document. `value` is what was found, None where showing
    it could show a secret. `where` is the file with its line, `--set`, or empty for settings that came as a mapping.
    """

    path: str
    value: object
    message: str
    where: str = ""

    def __str__(self) -> str:
        return ": ".join(part for part in (self.where, self.path, self.message) if part)


class InvalidSettings(ValueError):
    """The configuration cannot be used; `problems` has everything that is wrong with it, and `str()` one line for each."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__(self.problems)

    def __str__(self) -> str:
        return "\n".join(str(problem) for problem in self.problems)


def path_text(path: KeyPath) -> str:
    """Write a path as `--set` takes it: `a.b[0]`, with quotes around a key that contains a point (`symbols."BRK.B"`)."""
    text = ""
    for key in path:
        if _PLAIN_KEY.fullmatch(key):
            text += key if key.startswith("[") or not text else f".{key}"
        else:
            text += f"{'.' if text else ''}{in_quotes(key)}"
    return text


def shown(value: object) -> str:
    """Write a value for a person, as YAML has it, on one line and not too long."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case float() | Decimal() if "nan" in str(value).lower():
            return ".nan"
        case float() | Decimal() if "inf" in str(value).lower():
            return "-.inf" if str(value).startswith("-") else ".inf"
        case int() if value.bit_length() > 200:
            return "a very long number"
        case int() | float() | Decimal():
            return _cut(str(value))
        case str():
            return _cut(in_quotes(value))
        case Mapping():
            return "a section"
        case list() | tuple():
            return _cut(f"[{', '.join(map(shown, value))}]")
        case date():
            return value.isoformat()
        case _:
            return f"a {type(value).__name__}"


def in_quotes(text: str) -> str:
    """Write text as JSON does, on one line and without invisible characters."""
    quoted = json.dumps(text, ensure_ascii=False)
    return "".join(char if char.isprintable() else json.dumps(char)[1:-1] for char in quoted)


def either(words: Iterable[str]) -> str:
    """Join words as a sentence does: `a, b or c`."""
    *head, last = words
    return f"{', '.join(head)} or {last}" if head else last


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST_SHOWN else f"{text[: _LONGEST_SHOWN - 1]}…"
