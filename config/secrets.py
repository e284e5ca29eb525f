"""`${NAME}` in settings, and strings that must not be seen.

`${NAME}` is the environment variable NAME, `${NAME:-text}` is the text where NAME is unset or empty, and `$${` is a
literal `${`. An ordinary setting is filled in when the configuration is loaded. A `Secret` is filled in each time it is
revealed, so that a backtest needs no keys, and it keeps nothing of what it revealed.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

from .problems import InvalidSettings, Problem

_TOKEN = re.compile(
    r"(?P<escape>\$\$\{)|\$\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>[^}]*))?\}|(?P<broken>\$\{)|(?P<literal>\$|[^$]+)"
)
_HIDDEN = "***"


class Unfilled(ValueError):
    """A `${…}` cannot be filled in; the message says why and what would help, and shows nothing of the text around it."""


def fill(text: str) -> str:
    """Put the environment's values in place of each `${NAME}`; raise `Unfilled` for an unset one without a default."""
    return "".join(_value_of(token) for token in _tokens(text))


def escape(text: str) -> str:
    """Write text so that `fill` gives it back."""
    return text.replace("${", "$${")


class Secret:
    """A string that shows itself only to who calls `reveal`.

    Neither repr, str, format, a pickle nor an encoder gets to see it: they see the names of environment variables,
    which are no secret, and `***` for the rest. `path` is the setting's name, for messages.
    """

    __slots__ = ("_path", "_text")

    def __init__(self, text: str | None, path: str = "") -> None:
        self._text = text
        self._path = path

    def reveal(self) -> str:
        """Return the secret as the environment has it now; raise `InvalidSettings` where a variable is unset or the result is empty."""
        if self._text is None:
            raise self._invalid("the secret is not part of a pickle; load the configuration in this process")
        try:
            value = fill(self._text)
        except Unfilled as unfilled:
            raise self._invalid(str(unfilled)) from None
        if not value:
            raise self._invalid(
                'the secret is empty; accepted: text, or the name of an environment variable as in "${NAME}"'
            )
        return value

    def check(self) -> None:
        """Raise `Unfilled` where a `${` is malformed, whatever the environment holds."""
        for token in _tokens(self._text or ""):
            if token["broken"]:
                _value_of(token)

    def __str__(self) -> str:
        return _HIDDEN if self._text is None else "".join(_masked(token) for token in _merged(_tokens(self._text)))

    def __repr__(self) -> str:
        return f"Secret({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        return self._text == other._text if isinstance(other, Secret) else NotImplemented

    def __hash__(self) -> int:
        return hash((Secret, self._text))

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, memo: object) -> Secret:
        return self

    def __reduce__(self) -> tuple[type[Secret], tuple[str | None, str]]:
        names_only = self._text is not None and all(
            token["name"] and token["default"] is None for token in _tokens(self._text)
        )
        return Secret, (self._text if names_only else None, self._path)

    def _invalid(self, message: str) -> InvalidSettings:
        return InvalidSettings([Problem(path=self._path, value=None, message=message)])


def _tokens(text: str) -> Iterator[re.Match[str]]:
    return _TOKEN.finditer(text)


def _value_of(token: re.Match[str]) -> str:
    if token["broken"]:
        raise Unfilled("found a malformed ${; accepted: ${NAME}, ${NAME:-default}, or $${ for a literal ${")
    if token["escape"]:
        return "${"
    name = token["name"]
    if not name:
        return token[0]
    value = os.environ.get(name)
    if token["default"] is not None:
        return value or token["default"]
    if value is None:
        raise Unfilled(
            f"the environment variable {name} is not set; set it (export {name}=…) or give a default: ${{{name}:-…}}"
        )
    return value


def _masked(token: re.Match[str]) -> str:
    if not token["name"]:
        return _HIDDEN
    return f"${{{token['name']}:-{_HIDDEN}}}" if token["default"] else token[0]


def _merged(tokens: Iterator[re.Match[str]]) -> Iterator[re.Match[str]]:
    """Leave out a literal that follows a literal, so that the mask does not tell how the secret is made up."""
    after_literal = False
    for token in tokens:
        if token["name"] or not after_literal:
            yield token
        after_literal = not token["name"]
