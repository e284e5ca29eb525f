"""YAML text to plain values, with nothing lost and nothing guessed.

- A number with a point or an exponent is a `Decimal` of exactly the digits in the text; `1_000` is 1000.
- Only `true` and `false` (also `True`, `False`) are booleans: `ON`, `NO`, `Y` and `TRUE` are tickers and stay strings.
- `09:30` and dates stay strings, and every key is the string that was written, so `0700: …` is the symbol 0700.
- A key given twice is a fault instead of a silent choice.

The text of a document never appears in a fault, since it may hold a secret.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import Any, ClassVar, NamedTuple

import yaml

from .problems import KeyPath

_TAG = "tag:yaml.org,2002:"
_MERGE = "<<"
_SIGN = re.compile(r".?|\\\w{1,9}|<.*")
_QUOTED_TEXT = re.compile(r"'([^']*)'")

_DIGITS = r"[0-9]+(?:_[0-9]+)*"
INTEGER = re.compile(rf"[-+]?{_DIGITS}\Z")
NUMBER = re.compile(rf"[-+]?(?:{_DIGITS}(?:\.(?:{_DIGITS})?)?|\.{_DIGITS})(?:[eE][-+]?[0-9]{{1,6}})?\Z")
NOT_FINITE = re.compile(r"(?:[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))\Z")


class Fault(NamedTuple):
    """Something in the text that YAML, or this reader, does not accept. `column` is 0 where the line says enough."""

    path: KeyPath
    line: int
    column: int
    message: str


class Document(NamedTuple):
    """What was read: the value, the line of every key, and the faults. With a fault of syntax there is no value."""

    value: Any
    lines: dict[KeyPath, int]
    faults: list[Fault]
    readable: bool


def to_decimal(text: str) -> Decimal:
    """Return the number that a text matching `NUMBER` or `NOT_FINITE` stands for, all digits kept."""
    return Decimal(text.replace("_", "") if NUMBER.match(text) else text.replace(".", ""))


def read(text: str) -> Document:
    """Read one YAML document; an empty one is null."""
    try:
        root = yaml.compose(text, Loader=_Loader)
        builder = _Builder()
        value = None if root is None else builder.build(root, (), ())
    except yaml.YAMLError as error:
        return Document(None, {}, [_syntax_fault(error, text)], readable=False)
    except RecursionError:
        return Document(None, {}, [Fault((), 1, 0, "is nested too deeply")], readable=False)
    return Document(value, builder.lines, builder.faults, readable=True)


class _Loader(yaml.SafeLoader):
    """Composes nodes, with the implicit types of this module instead of YAML 1.1's."""

    yaml_implicit_resolvers: ClassVar[dict[str, list[tuple[str, re.Pattern[str]]]]] = {}  # type: ignore[misc]


_DIGIT_STARTS = list("-+.0123456789")
for _name, _pattern, _starts in (
    ("null", re.compile(r"(?:~|null|Null|)\Z"), ["~", "n", "N", ""]),
    ("bool", re.compile(r"(?:true|True|false|False)\Z"), list("tTfF")),
    ("int", INTEGER, _DIGIT_STARTS),
    ("float", NUMBER, _DIGIT_STARTS),
    ("float", NOT_FINITE, _DIGIT_STARTS),
):
    _Loader.add_implicit_resolver(_TAG + _name, _pattern, _starts)

_SCALARS: dict[str, Callable[[str], Any]] = {
    _TAG + "null": lambda _: None,
    _TAG + "bool": lambda text: text in ("true", "True"),
    _TAG + "int": lambda text: int(to_decimal(text)),
    _TAG + "float": to_decimal,
    _TAG + "str": str,
}


class _Builder:
    """Turns composed nodes into plain values."""

    def __init__(self) -> None:
        self.lines: dict[KeyPath, int] = {}
        self.faults: list[Fault] = []

    def build(self, node: yaml.Node, path: KeyPath, above: tuple[yaml.Node, ...]) -> Any:
        if any(node is ancestor for ancestor in above):
            self._fault(path, node, "contains itself through an alias")
            return None
        match node:
            case yaml.MappingNode(tag=tag) if tag == f"{_TAG}map":
                return self._mapping(node, path, (*above, node))
            case yaml.SequenceNode(tag=tag) if tag == f"{_TAG}seq":
                return [self.build(item, (*path, f"[{i}]"), (*above, node)) for i, item in enumerate(node.value)]
            case yaml.ScalarNode():
                return self._scalar(node, path)
        self._fault(path, node, "has a tag; accepted: plain YAML without tags")
        return None

    def _mapping(self, node: yaml.MappingNode, path: KeyPath, above: tuple[yaml.Node, ...]) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode) or not key_node.value or key_node.value == _MERGE:
                self._fault(path, key_node, "has a key that is not a name; accepted: one name for each key, no <<")
                continue
            key = key_node.value
            here = (*path, key)
            line = key_node.start_mark.line + 1
            if key in values:
                message = f"is given twice, in lines {self.lines[here]} and {line}; keep one"
                self._fault(here, key_node, message)
                continue
            self.lines[here] = line
            values[key] = self.build(value_node, here, above)
        return values

    def _scalar(self, node: yaml.ScalarNode, path: KeyPath) -> Any:
        try:
            return _SCALARS[node.tag](node.value)
        except (KeyError, ValueError, InvalidOperation):
            self._fault(path, node, "has a tag; accepted: plain YAML without tags")
            return None

    def _fault(self, path: KeyPath, node: yaml.Node, message: str) -> None:
        self.faults.append(Fault(path, node.start_mark.line + 1, 0, message))


def _syntax_fault(error: yaml.YAMLError, text: str) -> Fault:
    mark = error.problem_mark if isinstance(error, yaml.MarkedYAMLError) else None
    if mark is None:
        return Fault((), _line_of_bad_character(error, text), 0, "has a character that YAML does not allow")
    problem = _QUOTED_TEXT.sub(_without_text, getattr(error, "problem", None) or "it cannot be read")
    lines = text.splitlines()
    hint = ""
    if mark.line < len(lines) and "${" in lines[mark.line]:
        hint = '; put quotes around "${…}"'
    return Fault((), mark.line + 1, mark.column + 1, f"is not YAML: {problem}{hint}")


def _without_text(quoted: re.Match[str]) -> str:
    """Keep YAML's own signs and token names, as ',' and '<block end>', and nothing longer: it is the document's text."""
    return quoted[0] if _SIGN.fullmatch(quoted[1]) else "'…'"


def _line_of_bad_character(error: yaml.YAMLError, text: str) -> int:
    position = getattr(error, "position", 0)
    return text.count("\n", 0, position) + 1
