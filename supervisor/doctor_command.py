"""`ordersmith doctor CONFIG`: how it is called; `doctor.py` looks, and is imported when there is something to look at."""

from __future__ import annotations

import argparse
from typing import Any

EPILOG = """\
exit status: 0 if nothing is wrong, 1 if something is, 2 for wrong usage
✓ as it should be   ! worth knowing   ✗ wrong: trading would fail, or would not be safe
"""


def add_parser(commands: Any) -> None:
    """Add `doctor` to the subparsers of the command line; it sets `run`, from what was chosen to an exit status."""
    parser = commands.add_parser(
        "doctor",
        help="look at keys, account, clock, streams, calendar and disk before trading",
        description="Look at everything that trading on a configuration rests on, and say what to do about what is wrong. "
        "On a paper account it places one order for a share, far from the market, and cancels it.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("config", metavar="CONFIG", help="YAML file with the settings")
    parser.add_argument("--live", metavar="ACCOUNT", help="the account's id, in live mode")
    parser.add_argument("--place-order", action="store_true", help="place and cancel the far order in live mode, too")
    parser.add_argument("--set", metavar="PATH=VALUE", action="append", default=[], help="override a setting")
    parser.add_argument("--json", action="store_true", help="print one JSON object a line instead of a table")
    parser.set_defaults(run=run)


def run(chosen: argparse.Namespace) -> int:
    """Look at everything and return the exit status."""
    import anyio

    from .doctor import findings, print_findings, say_json

    async def look() -> list[Any]:
        found = []
        async for finding in findings(chosen.config, chosen.set, live=chosen.live, place_order=chosen.place_order):
            found.append(finding)
            if chosen.json:
                say_json(finding)
        return found

    found = anyio.run(look)
    if not chosen.json:
        print_findings(chosen.config, found)
    return 1 if any(finding.ok is False for finding in found) else 0
