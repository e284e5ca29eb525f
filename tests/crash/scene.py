"""What the trader trades: made-up prices, and the configuration of a local paper account, in a folder of its own.

    python tests/crash/scene.py FOLDER [NAME=VALUE ...]

Sessions of minute bars of three symbols. Volumes are small, so that orders fill in parts; BBB pays a dividend and CCC is split,
so that the account also moves without orders.
"""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

SYMBOLS = {"AAA": 100.0, "BBB": 50.0, "CCC": 20.0}
FIRST_DAY = datetime(2024, 3, 4, 14, 30, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
CASH = 10_000_000
STRATEGY = Path(__file__).with_name("crash_strategy.py")


class Scene(msgspec.Struct, frozen=True):
    """One market and account. `sessions` of `minutes` bars each; `late` is how many seconds a command is on its way."""

    sessions: int = 2
    minutes: int = 30
    late: float = 0
    on_stop: str = "leave"
    snapshot_every: int = 400
    seed: int = 0
    actions: bool = True


def set_up(folder: Path, scene: Scene) -> Path:
    """Write the data and the configuration into the folder, and return the configuration's path."""
    data = folder / "data"
    data.mkdir()
    chance = random.Random(scene.seed)
    for symbol, price in SYMBOLS.items():
        (data / f"{symbol}.csv").write_text("\n".join(_rows(scene, chance, symbol, price)) + "\n", encoding="utf-8")
    if scene.actions:
        (folder / "actions.csv").write_text(_actions(), encoding="utf-8")
    path = folder / "config.yaml"
    path.write_text(json.dumps(_config(scene), indent=1), encoding="utf-8")  # JSON is YAML
    return path


def _rows(scene: Scene, chance: random.Random, symbol: str, price: float) -> list[str]:
    rows = ["time,open,high,low,close,volume"]
    for day in range(scene.sessions):
        if day == 1 and symbol == "CCC" and scene.actions:
            price /= 2
        for minute in range(scene.minutes):
            at = FIRST_DAY + timedelta(days=day) + minute * MINUTE
            close = max(1.0, price * (1 + chance.gauss(0, 0.003)))
            high, low = max(price, close) * 1.002, min(price, close) * 0.998
            cells = [f"{each:.2f}" for each in (price, high, low, close)]
            rows.append(f"{at:%Y-%m-%d %H:%M},{','.join(cells)},{chance.randrange(100, 400)}")
            price = close
    return rows


def _actions() -> str:
    second = (FIRST_DAY + timedelta(days=1)).date()
    return f"symbol,kind,date,ratio,amount,pay_date\nBBB,dividend,{second},,0.35,{second}\nCCC,split,{second},2,,\n"


def _config(scene: Scene) -> Mapping[str, Any]:
    data: dict[str, Any] = {"path": "data", "timezone": "UTC"}
    if scene.actions:
        data["corporate_actions"] = "actions.csv"
    backtest = {
        "commission": {"per_order": 1, "per_share": "0.01"},
        "slippage": "0.0005",
        "participation": "0.1",
        "outside_session": "refuse",
        "latency": scene.late,
        "account": {"cash": CASH},
    }
    return {
        "execution": {
            "mode": "paper",
            "provider": "simulated",
            "paper": {"speed": "max", "file": "paper.db"},
            "backtest": backtest,
        },
        "risk": {"duplicate_window": 0},
        "breaker": {"rejections": 3, "window": 60, "cooldown": 120},
        "data": data,
        "strategy": {"path": f"{STRATEGY}:CrashStrategy"},
        "journal": {"path": "journal.db", "snapshot_every": scene.snapshot_every},
        "service": {
            "on_stop": scene.on_stop,
            "stop_within": 20 if scene.on_stop == "cancel" else 4,
            "log_level": "error",
        },
    }


if __name__ == "__main__":
    wanted = dict(each.split("=", 1) for each in sys.argv[2:])
    print(set_up(Path(sys.argv[1]), msgspec.convert(wanted, Scene, strict=False)))
