"""Live trading is armed, never assumed: of all combinations of what was configured, typed and reported, one sends."""

from __future__ import annotations

import copy
import itertools
import pickle

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ordersmith import ConfigError, Settings
from ordersmith.config import load
from ordersmith.config.settings import AlpacaSettings, ExecutionSettings
from ordersmith.supervisor.arming import Armed, PortFactories, arm, port_of

ACCOUNT = "U-1234567"
"""What the broker reports."""

MODES = ("backtest", "paper", "live")
PROVIDERS = ("alpaca", "ib", "simulated")
PAPER = (True, False)
TYPED = (
    None,
    "",
    ACCOUNT,
    "U-7654321",
    f" {ACCOUNT}",
    f"{ACCOUNT} ",
    f"{ACCOUNT}\n",
    ACCOUNT.lower(),
    "${ACCOUNT}",
    "true",
)
NAMED_BY_ENVIRONMENT = (False, True)
THE_ONE = ("live", "alpaca", False, ACCOUNT)


def built(mode, provider, paper):
    """Build settings by hand, past the loader, which would refuse most of them."""
    return Settings(execution=ExecutionSettings(mode=mode, provider=provider, alpaca=AlpacaSettings(paper=paper)))


def judged(settings, typed):
    try:
        return arm(settings, typed)
    except ConfigError:
        return None


FACTORIES = {
    provider: PortFactories(lambda settings: ("paper", ""), lambda settings, armed: ("live", armed.account))
    for provider in PROVIDERS
}


def live_port(settings, armed):
    """Return the account of the live port that is made, None where there is none."""
    try:
        kind, account = port_of(settings, armed, FACTORIES)
    except ConfigError:
        return None
    return account if kind == "live" else None


@pytest.mark.parametrize("named", NAMED_BY_ENVIRONMENT)
def test_one_combination_of_all_sends(monkeypatch, named):
    """Of every mode, provider, paper flag and word typed, one makes a live port for the account that the broker reports."""
    for name in ("ACCOUNT", "LIVE", "ORDERSMITH_LIVE", "ORDERSMITH_ACCOUNT", "ORDERSMITH_MODE"):
        monkeypatch.setenv(name, ACCOUNT) if named else monkeypatch.delenv(name, raising=False)
    sending = []
    for mode, provider, paper, typed in itertools.product(MODES, PROVIDERS, PAPER, TYPED):
        settings = built(mode, provider, paper)
        armed = judged(settings, typed)
        account = live_port(settings, armed)
        if account is not None and armed.is_for(ACCOUNT) and account == ACCOUNT:
            sending.append((mode, provider, paper, typed))
    assert sending == [THE_ONE]


def test_an_account_that_is_not_the_brokers_arms_a_port_that_cannot_send():
    """Another id, or the same in other letters, can be typed; it is not the account that the broker reports."""
    settings = built("live", "alpaca", False)
    assert [arm(settings, typed).is_for(ACCOUNT) for typed in (ACCOUNT, "U-7654321", ACCOUNT.lower())] == [
        True,
        False,
        False,
    ]


def test_other_modes_have_nothing_to_arm():
    """A backtest and a paper account need no account typed, and get no right to trade live."""
    assert arm(Settings(), None) is None
    assert arm(load({"execution": {"mode": "paper", "provider": "simulated"}}), None) is None


BY_HAND = (
    "execution.mode: found live, which trades real money and is armed by hand at every start; "
    "type the id of the account: ordersmith run CONFIG --live ACCOUNT"
)


@pytest.mark.parametrize(
    ("combination", "line"),
    [
        (("live", "alpaca", False, None), BY_HAND),
        (
            ("live", "alpaca", False, "U 1"),
            (
                "--live: found 'U 1'; accepted: the id of the account exactly as the broker reports it, "
                "letters, digits, - and _, without spaces"
            ),
        ),
        (
            ("paper", "alpaca", True, ACCOUNT),
            (
                f"--live: found '{ACCOUNT}', but execution.mode is paper, which sends no order for real money; "
                "leave --live out, or set execution.mode: live"
            ),
        ),
        (
            ("backtest", "alpaca", True, ""),
            (
                "--live: found '', but execution.mode is backtest, which sends no order for real money; "
                "leave --live out, or set execution.mode: live"
            ),
        ),
        (
            ("live", "alpaca", True, ACCOUNT),
            "execution.alpaca.paper: found true, but execution.mode is live; accepted: false, or execution.mode: paper",
        ),
        (
            ("live", "simulated", False, ACCOUNT),
            (
                "execution.provider: found simulated, which this version cannot arm for live trading; "
                "accepted: alpaca, or execution.mode: paper"
            ),
        ),
    ],
)
def test_refusal_is_one_line_that_says_what_to_do(combination, line):
    """What is missing or contradicts is told in exactly these words."""
    *configured, typed = combination
    with pytest.raises(ConfigError) as caught:
        arm(built(*configured), typed)
    assert str(caught.value) == line


@given(st.text(max_size=70))
def test_whatever_is_typed_arms_for_exactly_that(typed):
    """No text becomes another account: it arms for itself, or is refused in one line."""
    try:
        armed = arm(built("live", "alpaca", False), typed)
    except ConfigError as error:
        assert len(str(error).splitlines()) == 1  # noqa: PT017 - the other outcome is as good
    else:
        assert armed.account == typed
        assert typed == typed.strip()


def test_only_arm_makes_the_right():
    """It has no constructor for others, no kinds, and does not come out of a copy or a pickle."""
    armed = arm(built("live", "alpaca", False), ACCOUNT)
    for attempt in (
        lambda: Armed("alpaca", ACCOUNT),
        lambda: Armed("alpaca", ACCOUNT, object()),
        lambda: Armed("alpaca", ACCOUNT, armed),
        lambda: type("Kind", (Armed,), {}),
        lambda: copy.copy(armed),
        lambda: copy.deepcopy(armed),
        lambda: pickle.dumps(armed),
        lambda: msgspec.convert({"account": ACCOUNT}, Armed),
    ):
        with pytest.raises((TypeError, msgspec.ValidationError)):
            attempt()


@pytest.mark.parametrize("name", ["account", "provider", "_account", "_provider", "other"])
def test_the_right_is_for_one_account(name):
    """Whose account it is cannot be changed afterwards."""
    armed = arm(built("live", "alpaca", False), ACCOUNT)
    with pytest.raises(AttributeError):
        setattr(armed, name, "U-7654321")
    with pytest.raises(AttributeError):
        delattr(armed, name)
    assert (armed.account, repr(armed)) == (ACCOUNT, f"<armed for {ACCOUNT} at alpaca>")


def test_paper_mode_gets_the_paper_port_and_nothing_armed():
    """In paper mode the paper factory is asked; a right to trade live beside it is a contradiction."""
    settings = built("paper", "alpaca", True)
    assert port_of(settings, None, FACTORIES) == ("paper", "")
    armed = arm(built("live", "alpaca", False), ACCOUNT)
    with pytest.raises(ConfigError, match=r"no port for mode paper, provider alpaca, <armed for U-1234567 at alpaca>"):
        port_of(settings, armed, FACTORIES)


@pytest.mark.parametrize(
    ("settings", "factories"),
    [
        (built("live", "ib", False), FACTORIES),
        (built("live", "alpaca", False), {"alpaca": PortFactories(FACTORIES["alpaca"].paper)}),
        (built("live", "alpaca", False), {}),
        (built("backtest", "alpaca", False), FACTORIES),
    ],
)
def test_what_was_armed_opens_no_other_port(settings, factories):
    """The right is for the provider and the mode that it was given for, and only where a live port exists at all."""
    armed = arm(built("live", "alpaca", False), ACCOUNT)
    with pytest.raises(ConfigError):
        port_of(settings, armed, factories)
