"""Settings in effect, for a person and as a digest."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ordersmith.config import Secret, Settings, describe, digest, load
from ordersmith.config.schema import known_paths


def _escape_names(value):
    if isinstance(value, str):
        return value.replace("${", "$${")
    if isinstance(value, list):
        return [_escape_names(item) for item in value]
    return {key: _escape_names(item) for key, item in value.items()} if isinstance(value, dict) else value


names = st.text(min_size=1, max_size=6).filter(lambda name: not (name.startswith("[") or name == "<<"))
parameters = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63) + 1, 2**63 - 1)
    | st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**14), max_value=10**14, places=9)
    | st.text(max_size=12)
    | st.sampled_from(
        ["09:30", "---", "- a", "a: b", "# a", "null", "1.0", "ON", "${A}", "$${", "a, b", "%a", "'", '"', "\\"]
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=5,
).map(_escape_names)


def test_description_names_every_setting():
    """Every setting of the schema is described, in the schema's order, with its value as YAML has it."""
    described = describe(Settings())
    sections = {path[:-1] for path in known_paths()}
    assert [path for path, _ in described] == [".".join(path) for path in known_paths() if path not in sections]
    assert dict(described)["execution.backtest.slippage.fraction"] == "0"
    assert dict(described)["execution.alpaca.api_key"] == '"${ALPACA_API_KEY}"'
    assert dict(described)["data.start"] == "null"
    assert dict(described)["risk.max_gross_exposure"] == "10000000"


@given(st.dictionaries(names, parameters, max_size=3), st.sampled_from(["A", "BRK.B", "0700", "ES=F", "BRK B"]))
def test_description_is_overrides_that_give_the_same_settings(tree, symbol):
    """Each line of the description, given as `--set`, brings its setting back, whatever text it holds."""
    settings = load(
        {
            "strategy": {"parameters": tree},
            "instruments": {"symbols": {symbol: {"lot": "1e2"}}},
            "data": {"start": "2005-03-01", "symbols": [symbol, "ON"], "path": "a b"},
        }
    )
    assert load({}, [f"{path}={text}" for path, text in describe(settings)]) == settings


def test_description_hides_secrets():
    """A secret in the file is shown as a mask, and the name of a variable as it is."""
    settings = load({"execution": {"alpaca": {"api_key": "PKVERYSECRET", "api_secret": "${NAME:-PKVERYSECRET}"}}})
    described = dict(describe(settings))
    assert described["execution.alpaca.api_key"] == '"***"'
    assert described["execution.alpaca.api_secret"] == '"${NAME:-***}"'
    assert "PKVERYSECRET" not in str(described)


def test_digest_does_not_change_between_versions_and_machines():
    """The digest of the defaults is this one; a new setting or default changes it, and nothing else may."""
    assert digest(Settings()) == "41a467f11a1659d4406c6037189ecaaf1ed1ed6b8c17cb909d4826034566c15a"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("execution.backtest.slippage=0.10", "execution.backtest.slippage=0.1"),
        ("execution.backtest.slippage=-0.0", "execution.backtest.slippage=0"),
        ("risk.max_order_quantity=1e3", "risk.max_order_quantity='1_000'"),
        ("instruments.symbols={A: {}, B: {}}", "instruments.symbols={B: {}, A: {}}"),
        ("execution.alpaca.api_key=one", "execution.alpaca.api_key=other"),
        ("strategy.parameters.x=5", "strategy.parameters.x=5.0"),
    ],
)
def test_digest_is_equal_for_equal_settings(one, other):
    """The way a value is written, and every secret, is outside the digest."""
    assert digest(load({}, [one])) == digest(load({}, [other]))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("seed=1", "seed=2"),
        ("data.symbols=[A, B]", "data.symbols=[B, A]"),
        ("data.start=2005-03-01", "data.start=2005-03-02"),
        ("strategy.parameters.x=5", "strategy.parameters.x='5'"),
        ("strategy.parameters.x=null", "strategy.parameters.y=null"),
        ("execution.backtest.participation=null", "execution.backtest.participation=1"),
    ],
)
def test_digest_differs_for_different_settings(one, other):
    """Whatever can change a run changes the digest."""
    assert digest(load({}, [one])) != digest(load({}, [other]))


def test_digest_ignores_where_the_file_lies(tmp_path):
    """The same configuration has one digest in every folder, and it does not read a secret."""
    settings = load({"execution": {"alpaca": {"api_key": "${NOT_SET_ANYWHERE}"}}})
    assert digest(msgspec.structs.replace(settings, base=tmp_path)) == digest(Settings())
    assert isinstance(settings.execution.alpaca.api_key, Secret)
