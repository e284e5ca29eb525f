"""What holds for all tests: random examples depend on the test alone, whichever tests ran before it, in whichever process."""

from __future__ import annotations

import pkgutil
from importlib import import_module

import pytest
from hypothesis import HealthCheck, given, settings, strategies

import ordersmith

# How long a draw takes says what else the machine does.
settings.register_profile(
    "unhurried", parent=settings.default, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("unhurried")

FOLDERS = ("actors", "adapters", "config", "simulation", "supervisor")


@pytest.fixture(scope="session", autouse=True)
def every_constant_is_known() -> None:
    """Have hypothesis gather all characters, and the constants of all modules: for the first test that draws it would count as slow."""
    for folder in FOLDERS:
        package = import_module(f"{ordersmith.__name__}.{folder}")
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            import_module(module.name)
    draw_something()


@settings(max_examples=1, database=None, deadline=None, suppress_health_check=list(HealthCheck))
@given(strategies.text(), strategies.integers(), strategies.floats())
def draw_something(_text: str, _whole: int, _float: float) -> None:
    """Make hypothesis begin."""
