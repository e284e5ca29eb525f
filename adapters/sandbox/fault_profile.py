"""Fault rules as people write them: a YAML file, or the JSON body of an admin request. Everything that is wrong is said at once.

seed: 7
quiet_first: 10
faults:
- {kind: 504_after_accept, rate: 0.03}
- {kind: drop_frame, event: fill, rate: 0.05}
- {kind: mute, per_hour: 12, seconds: 40}
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal

from ...config.kinds import Check, Count, Delay, Section, Seed
from ...config.problems import InvalidSettings, KeyPath, Problem, either, path_text
from ...config.schema import Reader
from ...config.yaml_reader import read
from .fault_kinds import KINDS, NAMES, FaultName

Probability = Annotated[Decimal, Check("a probability above 0 and up to 1", lambda x: 0 < x <= 1)]
PerHour = Annotated[Decimal, Check("how often an hour, above 0 and up to 100000", lambda x: 0 < x <= 100_000)]
Path_ = Annotated[
    str,
    Check(
        "the start of a path, such as /v2/orders, or a pattern with *, such as */orders", lambda x: x[:1] in ("/", "*")
    ),
]
Event = Annotated[str, Check("an event of trade updates, such as fill", lambda x: x.replace("_", "").isalpha())]

Note = Callable[[KeyPath, object, str], None]


class FaultRule(Section, frozen=True, kw_only=True):
    """A fault, and when it strikes."""

    kind: FaultName | None = None
    """What happens: a name of `fault_kinds.KINDS`."""
    rate: Probability | None = None
    """How probable it is at each occasion. None: it strikes at each, as with 1."""
    per_hour: PerHour | None = None
    """For what befalls a standing connection: how often an hour, at random. None: at once."""
    count: Count | None = None
    """How many times at most. None: no end to it, or once for an admin request that gives no `rate` and no `per_hour`."""
    seconds: Delay | None = None
    """How long it lasts, or how late the answer is. None: as its kind has it."""
    method: Literal["GET", "POST", "PATCH", "DELETE"] | None = None
    """Of requests, only those with this method."""
    path: Path_ | None = None
    """Of requests, only those whose path begins with this, or matches it where it has a `*`."""
    event: Event | None = None
    """Of frames, only those with this event."""


class FaultProfile(Section, frozen=True, kw_only=True):
    """Which faults, how often; every random choice follows from the seed and the order of occasions."""

    seed: Seed = 0
    quiet_first: Delay = Decimal(0)
    """Seconds without any fault after the start."""
    faults: tuple[FaultRule, ...] = ()


def load_profile(file: str | Path) -> FaultProfile:
    """Read a profile from a YAML file. Raises InvalidSettings with one line a problem."""
    name = str(file)
    try:
        document = read(Path(file).read_text(encoding="utf-8"))
    except OSError as error:
        raise _refusal(name, (), f"cannot be read: {error.strerror}; accepted: the path of a YAML file") from None
    except UnicodeDecodeError as error:
        raise _refusal(name, (), f"is not UTF-8 text at byte {error.start}") from None
    problems = [
        Problem(path=path_text(fault.path), value=None, message=fault.message, where=f"{name}:{fault.line}")
        for fault in document.faults
    ]

    def note(path: KeyPath, value: object, message: str) -> None:
        line = next((document.lines[path[:end]] for end in range(len(path), 0, -1) if path[:end] in document.lines), 1)
        problems.append(Problem(path=path_text(path), value=value, message=message, where=f"{name}:{line}"))

    tree = document.value
    if isinstance(tree, dict) and isinstance(tree.get("faults"), list):
        tree = {**tree, "faults": [_named(rule) for rule in tree["faults"]]}
    profile = Reader(note).section(FaultProfile, tree, ())
    for number, rule in enumerate(profile.faults):
        _note_nonsense(rule, ("faults", f"[{number}]"), note, problems)
    if problems:
        raise InvalidSettings(problems)
    return profile


def rules_of(raw: Any) -> tuple[FaultRule, ...]:
    """Read the rules of an admin request: one object, or a list of them. Raises InvalidSettings."""
    problems: list[Problem] = []

    def note(path: KeyPath, value: object, message: str) -> None:
        problems.append(Problem(path=path_text(path), value=value, message=message))

    items: list[tuple[KeyPath, Any]] = (
        [((f"[{number}]",), item) for number, item in enumerate(raw)] if isinstance(raw, list) else [((), raw)]
    )
    rules = []
    for path, item in items:
        rule = Reader(note).section(FaultRule, _named(item), path)
        _note_nonsense(rule, path, note, problems)
        rules.append(rule)
    if problems:
        raise InvalidSettings(problems)
    return tuple(rules)


def _named(rule: Any) -> Any:
    """Return a rule whose kind is text: 429 and 500 are names too."""
    return {**rule, "kind": str(rule["kind"])} if isinstance(rule, dict) and type(rule.get("kind")) is int else rule


def _note_nonsense(rule: FaultRule, path: KeyPath, note: Note, problems: list[Problem]) -> None:
    """Note what each value allows and the rule as a whole does not, unless its kind is itself wrong."""
    if rule.kind is None:
        if not any(problem.path == path_text((*path, "kind")) for problem in problems):
            note((*path, "kind"), None, f"is missing; accepted: {either(NAMES)}")
        return
    for key, message in _nonsense(rule, KINDS[rule.kind].occasion):
        note((*path, key), getattr(rule, key), message)


def _nonsense(rule: FaultRule, occasion: str) -> Iterator[tuple[str, str]]:
    for key, of, where in (
        ("method", "request", "a fault of requests"),
        ("path", "request", "a fault of requests"),
        ("event", "frame", "a fault of frames"),
        ("per_hour", "link", "a fault of a standing connection"),
    ):
        if getattr(rule, key) is not None and occasion != of:
            named = either(name for name, kind in KINDS.items() if kind.occasion == of)
            yield key, f"means nothing for {rule.kind}; accepted with {where}: {named}"
    if occasion == "link" and rule.rate not in (None, 1):
        yield "rate", f"means nothing for {rule.kind}, which needs no occasion; accepted: per_hour, or neither for now"


def _refusal(where: str, path: KeyPath, message: str) -> InvalidSettings:
    return InvalidSettings([Problem(path=path_text(path), value=None, message=message, where=where)])
