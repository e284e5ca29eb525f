"""Environment variables in text, and strings that do not show themselves."""

from __future__ import annotations

import copy
import logging
import pickle
import traceback

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ordersmith.config import InvalidSettings, Secret, Settings, load
from ordersmith.config.secrets import Unfilled, escape, fill

HIDDEN_TEXT = "PKVERYSECRET"


def through_pickle(value):
    return pickle.loads(pickle.dumps(value))  # noqa: S301 - our own bytes


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("${NAME}", "value"),
        ("a/${NAME}/b/${NAME}", "a/value/b/value"),
        ("${NAME:-other}", "value"),
        ("${UNSET:-other}", "other"),
        ("${UNSET:-}", ""),
        ("${EMPTY:-other}", "other"),
        ("${EMPTY}", ""),
        ("$${NAME}", "${NAME}"),
        ("$NAME costs $5", "$NAME costs $5"),
    ],
)
def test_names_are_filled_from_the_environment(monkeypatch, text, filled):
    """`${NAME}` is the variable, `:-` its default where unset or empty, and `$${` a literal."""
    monkeypatch.setenv("NAME", "value")
    monkeypatch.setenv("EMPTY", "")
    monkeypatch.delenv("UNSET", raising=False)
    assert fill(text) == filled
    if "${UNSET" not in text:
        assert Secret(f"x{text}").reveal() == f"x{filled}"


def test_a_value_is_not_filled_again(monkeypatch):
    """What a variable holds is taken as it is."""
    monkeypatch.setenv("NAME", "${NAME}")
    assert fill("${NAME}") == "${NAME}"


@given(st.text())
def test_escaped_text_is_filled_unchanged(text):
    """Escaping protects any text."""
    assert fill(escape(text)) == text


@pytest.mark.parametrize("text", ["${", "${}", "${1A}", "${A-b}", "${A", "x${A:b}", "${A B}"])
def test_malformed_name_is_refused(text):
    """A `${` that is no name says what would be one, and does not repeat the text."""
    with pytest.raises(Unfilled) as caught:
        fill(text)
    assert str(caught.value) == "found a malformed ${; accepted: ${NAME}, ${NAME:-default}, or $${ for a literal ${"


def test_unset_variable_is_reported_when_revealed(monkeypatch):
    """Loading needs no keys; revealing an unset one names the setting, the variable and the cure."""
    monkeypatch.delenv("ALPACA_API_KEY", raising=False)
    settings = load({"execution": {"alpaca": {"api_key": "${ALPACA_API_KEY}"}}})
    with pytest.raises(InvalidSettings) as caught:
        settings.execution.alpaca.api_key.reveal()
    assert str(caught.value) == (
        "execution.alpaca.api_key: the environment variable ALPACA_API_KEY is not set; "
        "set it (export ALPACA_API_KEY=…) or give a default: ${ALPACA_API_KEY:-…}"
    )


def test_secret_is_read_each_time(monkeypatch):
    """A key that is rotated in the environment is the new one from then on."""
    secret = Settings().execution.alpaca.api_key
    monkeypatch.setenv("ALPACA_API_KEY", "first")
    assert secret.reveal() == "first"
    monkeypatch.setenv("ALPACA_API_KEY", "second")
    assert secret.reveal() == "second"


@pytest.mark.parametrize("text", ["", "${EMPTY_KEY}", "${EMPTY_KEY:-}"])
def test_empty_secret_is_an_error(monkeypatch, text):
    """An empty key would only fail later, at the broker."""
    monkeypatch.setenv("EMPTY_KEY", "")
    with pytest.raises(InvalidSettings) as caught:
        Secret(text, "a.b").reveal()
    assert str(caught.value) == (
        'a.b: the secret is empty; accepted: text, or the name of an environment variable as in "${NAME}"'
    )


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (HIDDEN_TEXT, "***"),
        (f"a$b${HIDDEN_TEXT}", "***"),
        ("${ALPACA_API_KEY}", "${ALPACA_API_KEY}"),
        (f"${{KEY:-{HIDDEN_TEXT}}}", "${KEY:-***}"),
        (f"{HIDDEN_TEXT}${{KEY}}{HIDDEN_TEXT}", "***${KEY}***"),
        (f"$${{{HIDDEN_TEXT}}}", "***"),
    ],
)
def test_secret_shows_names_and_nothing_else(text, shown):
    """str, repr and format have the variables' names and a mask."""
    secret = Secret(text)
    assert str(secret) == f"{secret}" == f"{secret!s}" == shown
    assert repr(secret) == f"Secret({shown!r})"


@pytest.mark.parametrize("text", [HIDDEN_TEXT, f"${{UNSET_KEY:-{HIDDEN_TEXT}}}", f"x{HIDDEN_TEXT}${{UNSET_KEY:-}}"])
def test_secret_stays_out_of_everything_that_is_written(text, caplog):
    """Representations, logs, pickles, encoders, mappings and tracebacks hold no secret."""
    settings = load({"execution": {"alpaca": {"api_key": text}}})
    secret = settings.execution.alpaca.api_key
    assert HIDDEN_TEXT in secret.reveal()
    logging.getLogger("test").warning("%s %r %s", secret, secret, settings)
    written = [repr(settings), str(settings), caplog.text, repr(msgspec.structs.asdict(settings.execution.alpaca))]
    written += [pickle.dumps(settings, protocol).decode("latin-1") for protocol in range(pickle.HIGHEST_PROTOCOL + 1)]
    for encode in (msgspec.json.encode, msgspec.msgpack.encode, msgspec.to_builtins):
        with pytest.raises(TypeError) as caught:
            encode(settings)
        written.append("".join(traceback.format_exception(caught.value)))
    assert [text for text in written if HIDDEN_TEXT in text] == []


def test_pickled_names_work_and_pickled_text_is_gone(monkeypatch):
    """A worker process reveals what its environment holds; a literal secret does not travel and says so."""
    monkeypatch.setenv("KEY", "from the environment")
    assert through_pickle(Secret("${KEY}", "a.b")).reveal() == "from the environment"
    lost = through_pickle(Secret(HIDDEN_TEXT, "a.b"))
    assert str(lost) == "***"
    with pytest.raises(InvalidSettings) as caught:
        lost.reveal()
    assert str(caught.value) == "a.b: the secret is not part of a pickle; load the configuration in this process"


def test_copies_are_the_secret_itself():
    """Copying settings inside a process keeps the secret."""
    secret = Secret(HIDDEN_TEXT)
    assert copy.copy(secret) is secret
    assert copy.deepcopy({"key": secret})["key"] is secret


def test_secrets_are_equal_by_text():
    """Equality and hash go by the text, not by the setting that holds it."""
    assert Secret("a", "x") == Secret("a", "y")
    assert hash(Secret("a", "x")) == hash(Secret("a", "y"))
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"
