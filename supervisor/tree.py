"""The supervision tree: which actors there are, in which order they start, and who restarts whom."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from ..actors.broker_connection import BrokerConnection
from ..actors.circuit_breaker import CircuitBreaker
from ..actors.desk import Desk
from ..actors.journal import Journal
from ..actors.machines.breaker import BreakerRules
from ..actors.machines.risk import Limits
from ..actors.market import Market
from ..actors.model import Instrument, TimeInForce
from ..actors.order import Order
from ..actors.ports import MarketData
from ..actors.positions import Positions
from ..actors.rebalancer import Rebalancer
from ..actors.risk_gate import RiskGate
from ..actors.strategy import Strategy, StrategyHost
from ..actors.tally import Tally
from .supervision import ChildSpec, Intensity, Restart, RestartStrategy, SupervisorSpec

SHUTDOWN_NS = 5_000_000_000


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What the tree is built from.

    `id_prefix` begins every id that is made here: it names the instance and this boot. `shown` are the prices that
    strategies see, which may be those of a moment before the `market`.
    """

    account: str
    id_prefix: str
    limits: Limits
    breaker: BreakerRules
    instruments: Mapping[str, Instrument]
    market: MarketData
    shown: MarketData
    targets_time_in_force: TimeInForce = TimeInForce.DAY
    strategies: tuple[tuple[str, Strategy], ...] = ()


def build(plan: Plan) -> SupervisorSpec:
    """Return the tree. Actors start from the top, each ready before the next, and stop from the bottom."""
    account, market = plan.account, plan.market
    hosts = tuple(f"strategy/{name}" for name, _ in plan.strategies)
    return SupervisorSpec(
        id="ordersmith",
        children=(
            ChildSpec(id="journal", factory=Journal),
            ChildSpec(id="circuit_breaker", factory=lambda: CircuitBreaker(plan.breaker)),
            ChildSpec(id="positions", factory=lambda: Positions(market, account)),
            ChildSpec(id="market", factory=lambda: Market(hosts)),
            ChildSpec(id="risk_gate", factory=lambda: RiskGate(plan.limits, plan.instruments, market, account)),
            ChildSpec(id="desk", factory=lambda: Desk(market, account)),
            ChildSpec(
                id="rebalancer",
                factory=lambda: Rebalancer(market, account, plan.id_prefix + "t", plan.targets_time_in_force),
            ),
            SupervisorSpec(
                id="brokers",
                children=(
                    SupervisorSpec(
                        id=f"brokers/{account}",
                        strategy=RestartStrategy.REST_FOR_ONE,
                        children=(
                            ChildSpec(
                                id=f"connection/{account}",
                                factory=lambda: BrokerConnection(account),
                                shutdown_ns=SHUTDOWN_NS,
                            ),
                        ),
                    ),
                ),
            ),
            SupervisorSpec(
                id="orders",
                per_child=True,
                intensity=Intensity(5),
                template=ChildSpec(id="order", factory=Order, restart=Restart.TRANSIENT),
            ),
            SupervisorSpec(id="edges", children=(ChildSpec(id="tally", factory=Tally),)),
            SupervisorSpec(
                id="hosted",
                children=tuple(
                    _host(plan, index, name, strategy) for index, (name, strategy) in enumerate(plan.strategies, 1)
                ),
            ),
        ),
    )


def _host(plan: Plan, index: int, name: str, strategy: Strategy) -> ChildSpec:
    def host() -> StrategyHost:
        return StrategyHost(strategy, name, plan.account, f"{plan.id_prefix}s{index}-", plan.shown)

    return ChildSpec(id=f"strategy/{name}", factory=host, restart=Restart.TEMPORARY)
