"""Live trading is armed, never assumed: three facts must agree before an order can reach real money.

The configuration says `mode: live`, a person types the account's id at the start, and the broker reports that same
account. `arm` judges the first two, without a look at the environment, a file or a clock. What it returns cannot be made
in another way, and a port for real money cannot be made without it, so that an unarmed process has no such port. The third
fact is the connection's to compare, at every connect: `Armed.is_for`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final, Generic, NamedTuple, NoReturn, TypeVar

from ..actors.errors import ConfigError
from ..config import Settings

P = TypeVar("P")

_ACCOUNT = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_-]{0,62}[A-Za-z0-9])?")
_BY_ARM: Final = object()


class Armed:
    """The right to send orders for real money, to one account at one provider, for the life of this process.

    Only `arm` makes one. It cannot be changed, copied into another process or extended.
    """

    __slots__ = ("_account", "_provider")
    _account: str
    _provider: str

    def __init__(self, provider: str, account: str, made_by: object = None) -> None:
        if made_by is not _BY_ARM:
            raise TypeError(
                "Armed(…): only arm(settings, typed) makes one, from mode live and the account typed at start"
            )
        object.__setattr__(self, "_provider", provider)
        object.__setattr__(self, "_account", account)

    @property
    def account(self) -> str:
        """The account's id as a person typed it."""
        return self._account

    @property
    def provider(self) -> str:
        """The broker that the configuration named."""
        return self._provider

    def is_for(self, reported: str) -> bool:
        """Whether this is the account that the broker reports, character by character."""
        return self.account == reported

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"Armed.{name} cannot be changed")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"Armed.{name} cannot be deleted")

    def __init_subclass__(cls, **kwargs: Any) -> NoReturn:
        raise TypeError("Armed has no kinds")

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("Armed is for this process alone: it is neither copied nor pickled")

    def __repr__(self) -> str:
        return f"<armed for {self.account} at {self.provider}>"


def arm(settings: Settings, typed: str | None) -> Armed | None:
    """Return the right to trade live, None in a mode that needs none.

    `typed` is what followed `--live`, None without it. Raises ConfigError, in one line that says what is missing and how
    to give it, for live mode without an account, an account without live mode, and settings that contradict live mode
    however they were made.
    """
    mode = settings.execution.mode
    if mode != "live":
        if typed is None:
            return None
        raise ConfigError(
            f"--live: found {typed!r}, but execution.mode is {mode}, which sends no order for real money; "
            "leave --live out, or set execution.mode: live"
        )
    problem = _not_live(settings) or _not_typed(typed)
    if problem or typed is None:
        raise ConfigError(problem)
    return Armed(settings.execution.provider, typed, _BY_ARM)


def _not_live(settings: Settings) -> str:
    """Say why the settings do not mean live trading after all; empty if they do."""
    provider = settings.execution.provider
    if provider not in _PROVIDERS:
        return (
            f"execution.provider: found {provider}, which this version cannot arm for live trading; "
            f"accepted: {', '.join(_PROVIDERS)}, or execution.mode: paper"
        )
    return _PROVIDERS[provider](settings)


def _alpaca(settings: Settings) -> str:
    if settings.execution.alpaca.paper:
        return (
            "execution.alpaca.paper: found true, but execution.mode is live; accepted: false, or execution.mode: paper"
        )
    return ""


_PROVIDERS: Mapping[str, Callable[[Settings], str]] = {"alpaca": _alpaca}
"""Who can be traded live, and what else in the settings must agree. An adapter adds its line; what has none is refused."""


def _not_typed(typed: str | None) -> str:
    if typed is None:
        return (
            "execution.mode: found live, which trades real money and is armed by hand at every start; "
            "type the id of the account: ordersmith run CONFIG --live ACCOUNT"
        )
    if _ACCOUNT.fullmatch(typed) is None:
        return (
            f"--live: found {typed!r}; accepted: the id of the account exactly as the broker reports it, "
            "letters, digits, - and _, without spaces"
        )
    return ""


# --- Ports -------------------------------------------------------------------------------------------------------------


class PortFactories(NamedTuple, Generic[P]):
    """How a provider's ports are made; `live` takes the proof that somebody armed them, and none means that there is no such port."""

    paper: Callable[[Settings], P]
    live: Callable[[Settings, Armed], P] | None = None


def port_of(settings: Settings, armed: Armed | None, providers: Mapping[str, PortFactories[P]]) -> P:
    """Return the port of paper or live mode, made by the factory of the configuration's provider.

    Raises ConfigError where the provider has no such port, and where mode, provider and what was armed do not agree.
    """
    mode, provider = settings.execution.mode, settings.execution.provider
    factories = providers.get(provider)
    if mode == "paper" and armed is None and factories is not None:
        return factories.paper(settings)
    if mode == "live" and armed is not None and armed.provider == provider and factories is not None and factories.live:
        return factories.live(settings, armed)
    raise ConfigError(f"execution: there is no port for mode {mode}, provider {provider}, {armed or 'not armed'}")
