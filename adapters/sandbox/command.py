"""`ordersmith sandbox`: run a local Alpaca until Ctrl-C or SIGTERM.

Standard output gets the addresses, the keys and the lines for a configuration, or with --json one line with an object. Exit status: 0
when it was stopped, 2 for wrong usage.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import signal
import sys
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from ...actors.errors import ConfigError
from ...config.problems import InvalidSettings

if TYPE_CHECKING:
    from .sandbox_config import Addresses, SandboxConfig

RATE_LIMIT = 200
CASH = Decimal(100_000)

EPILOG = """\
Anybody's program for Alpaca can be tried against it: give it these addresses and keys. Without --data the prices are a walk that
follows from --seed. With --data each bar is played in its own time divided by --speed, and stamped with the time of the wall.

Faults are committed as a profile says, or on demand:
  curl -X POST 127.0.0.1:8399/sandbox/faults -d '{"kind": "504_after_accept"}'
What is accepted there is said by an empty object; GET /sandbox/state, /sandbox/orders and /sandbox/log show what has happened.

examples:
  ordersmith sandbox --alpaca 8399
  ordersmith sandbox --alpaca 8399 --account account.json --data examples/data --speed 3600
  ordersmith sandbox --alpaca 8399 --faults examples/alpaca-storm.yaml
"""


def add_parser(commands: Any) -> None:
    """Add `sandbox` to the subparsers of the command line; it sets `run`, from what was chosen to an exit status."""
    parser = commands.add_parser(
        "sandbox",
        help="run a local broker that speaks Alpaca's protocols, with faults on demand",
        description="Run a local broker that speaks Alpaca's protocols: orders, trade updates and market data on one port of this machine.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--alpaca", metavar="PORT", type=_whole(0, 65535), required=True, help="the port on 127.0.0.1; 0: a free one")
    add(
        "--account",
        metavar="FILE",
        type=Path,
        help="where the account persists, for one sandbox (default: it is forgotten)",
    )
    add(
        "--data",
        metavar="FILE",
        type=Path,
        help="bars to play, as `data.path`: a CSV or Parquet file, or a folder of them",
    )
    add("--timezone", metavar="ZONE", default="America/New_York", help="of times in the data (default: %(default)s)")
    add("--speed", metavar="N", type=_number, default=1.0, help="seconds of the market in one second (default: 1)")
    add(
        "--symbols",
        metavar="A,B",
        default="",
        help="without --data: what there are prices of (default: ten large ones)",
    )
    add("--kind", choices=("paper", "live"), default="paper", help="which account it is (default: paper)")
    add("--cash", metavar="USD", type=_money, default=CASH, help=f"of a new account (default: {CASH})")
    add(
        "--faults",
        metavar="PROFILE",
        type=Path,
        help="a YAML file with faults and how often they strike; every key: examples/alpaca-storm.yaml",
    )
    add(
        "--partial-fills",
        metavar="P",
        type=_probability,
        default=0.0,
        help="how probable each execution is a part only",
    )
    add("--hours", choices=("always", "exchange"), default="always", help="when the market is open (default: always)")
    add(
        "--rate-limit",
        metavar="N",
        type=_whole(0, 1_000_000),
        default=RATE_LIMIT,
        help=f"requests a minute (default: {RATE_LIMIT}; 0: no limit)",
    )
    add(
        "--seed",
        metavar="N",
        type=_whole(0, 2**63 - 1),
        default=0,
        help="every random choice follows from it (default: 0)",
    )
    add("--secret", metavar="TEXT", help="the secret key to accept (default: one that is printed)")
    add("--json", action="store_true", help="print one line with a JSON object instead of text")
    parser.set_defaults(run=sandbox_command)


def sandbox_command(chosen: argparse.Namespace) -> int:
    """Run the sandbox that was chosen. Raises ConfigError or DataError for what is wrong before it is up."""
    try:
        from .alpaca_server import AlpacaSandbox
    except ModuleNotFoundError as error:
        raise ConfigError(f"ordersmith sandbox: {error}; it is an extra: pip install 'ordersmith[sandbox]'") from error
    try:
        config = _config(chosen)
    except InvalidSettings as error:
        raise ConfigError(str(error)) from None
    return asyncio.run(_run(AlpacaSandbox(config), as_json=chosen.json))


async def _run(sandbox: Any, *, as_json: bool) -> int:
    """Be up until a signal comes."""
    loop, leave = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, leave.set)
    addresses = await sandbox.start()
    try:
        _say(_as_object(sandbox.config, addresses) if as_json else _as_text(sandbox.config, addresses))
        await leave.wait()
    finally:
        await sandbox.stop()
    if not as_json:
        _say("Stopped.")
    return 0


def _config(chosen: argparse.Namespace) -> SandboxConfig:
    from .alpaca_settings import COMMON, BrokerSettings
    from .fault_profile import FaultProfile, load_profile
    from .sandbox_config import SECRET, SandboxConfig

    named = tuple(name.strip().upper() for name in chosen.symbols.split(",") if name.strip())
    if named and chosen.data is not None:
        raise ConfigError(f"--symbols {chosen.symbols}: --data says what there are prices of; leave one of the two out")
    return SandboxConfig(
        port=chosen.alpaca,
        kind=chosen.kind,
        secret=chosen.secret or SECRET,
        account=chosen.account,
        data=chosen.data,
        timezone=chosen.timezone,
        speed=chosen.speed,
        symbols=named or (COMMON if chosen.data is None else ()),
        seed=chosen.seed,
        rate_limit=chosen.rate_limit,
        faults=FaultProfile() if chosen.faults is None else load_profile(chosen.faults),
        broker=BrokerSettings(hours=chosen.hours, cash=chosen.cash, partial_probability=chosen.partial_fills),
    )


# --- What is printed ---------------------------------------------------------------------------------------------------------


def _as_object(config: SandboxConfig, addresses: Addresses) -> str:
    told = {
        "addresses": msgspec.structs.asdict(addresses),
        "key": config.key,
        "secret": config.secret,
        "kind": config.kind,
    }
    return json.dumps(told)


def _as_text(config: SandboxConfig, addresses: Addresses) -> str:
    settings = {"api_key": config.key, "api_secret": config.secret, "paper": config.kind == "paper"}
    settings |= msgspec.structs.asdict(addresses)
    lines = [f"    {name}: {json.dumps(value)}" for name, value in settings.items()]
    return "\n".join(
        (
            f"A local Alpaca ({config.kind}) is up at {addresses.base_url}; Ctrl-C stops it. In a configuration:",
            "",
            "execution:",
            f"  mode: {config.kind}",
            "  provider: alpaca",
            "  alpaca:",
            *lines,
            "",
            f"Faults and what has happened: {addresses.base_url}/sandbox/state",
        )
    )


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


# --- What may be said --------------------------------------------------------------------------------------------------------


def _whole(least: int, most: int) -> Callable[[str], int]:
    """Return what reads a whole number between the two."""

    def read(text: str) -> int:
        if not text.isascii() or not text.isdigit() or not least <= int(text) <= most:
            raise argparse.ArgumentTypeError(f"{text!r} is not accepted; give a whole number from {least} to {most}")
        return int(text)

    return read


_NUMBER = re.compile(r"\d+(?:\.\d*)?|\.\d+")


def _number(text: str) -> float:
    if not _NUMBER.fullmatch(text) or not 0.001 <= float(text) <= 1_000_000:
        raise argparse.ArgumentTypeError(f"{text!r} is not accepted; give a number from 0.001 to 1000000")
    return float(text)


def _probability(text: str) -> float:
    if not _NUMBER.fullmatch(text) or not 0 <= float(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not accepted; give a number from 0 up to, but not including, 1")
    return float(text)


def _money(text: str) -> Decimal:
    if not _NUMBER.fullmatch(text) or not 0 < Decimal(text) <= 10**12:
        raise argparse.ArgumentTypeError(f"{text!r} is not accepted; give an amount such as 100000")
    return Decimal(text)
