"""What holds for all tests: random examples depend on the test alone."""

from __future__ import annotations

import pkgutil
from importlib import import_module

import ordersmith

FOLDERS = ("actors", "adapters", "config", "simulation", "supervisor")

# hypothesis tries the constants of all modules that are imported: all are, whichever tests ran before, in whichever process.
for folder in FOLDERS:
    package = import_module(f"ordersmith.{folder}")
    for module in pkgutil.walk_packages(package.__path__, f"{ordersmith.__name__}.{folder}."):
        import_module(module.name)
