"""The supervision tree: which actors there are, in which order they start, and who restarts whom."""

from __future__ import annotations

from collections.abc import Callable, Mapping

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
from ..actors.order_watch import WatchedOrder
from ..actors.ports import MarketData
from ..actors.positions import Positions
from ..actors.rebalancer import Rebalancer
from ..actors.risk_gate import VALIDITY_NS, RiskGate
from ..actors.strategy import Strategy, StrategyHost
from ..actors.tally import Tally
from ..adapters.io_actor import IoActor
from .supervision import Backoff, ChildSpec, Intensity, Restart, RestartStrategy, SupervisorSpec

SHUTDOWN_NS = 5_000_000_000


class Plan(msgspec.Struct, kw_only=True):
    """What the tree is built from. Who changes it changes what later incarnations are made of.

    `id_prefix` begins every id that is made here: it names the instance and this boot. `shown` are the prices that
    strategies see, which may be those of a moment before the `market`. `port` makes the `run()` actor of the broker; without
    one the port is an endpoint inline. `feed` makes that of live prices, if there are any. An approval is good for
    `validity_ns`. The broker has `answer_ns` to answer, its account is read every `reconcile_ns`, and it must call it
    `expected_account`; None is no deadline, no reading, any name. `backlog` tells of records not durable yet.
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
    port: Callable[[], IoActor] | None = None
    feed: Callable[[], IoActor] | None = None
    answer_ns: int | None = None
    validity_ns: int = VALIDITY_NS
    reconcile_ns: int | None = None
    expected_account: str | None = None
    backlog: Callable[[int], tuple[int, int]] | None = None


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
            *_feed(plan),
            ChildSpec(
                id="risk_gate",
                factory=lambda: RiskGate(
                    plan.limits, plan.instruments, market, account, plan.backlog, plan.validity_ns
                ),
            ),
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
                            *_port(plan),
                            ChildSpec(
                                id=f"connection/{account}",
                                factory=lambda: BrokerConnection(
                                    account, plan.reconcile_ns, plan.answer_ns, plan.expected_account
                                ),
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
                template=ChildSpec(id="order", factory=_order(plan), restart=Restart.TRANSIENT),
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


def _port(plan: Plan) -> tuple[ChildSpec, ...]:
    """Return the broker's `run()` actor, if it has one: it is restarted for ever, with a growing backoff."""
    if plan.port is None:
        return ()
    return (ChildSpec(id=f"port/{plan.account}", factory=plan.port, backoff=Backoff()),)


def _feed(plan: Plan) -> tuple[ChildSpec, ...]:
    """Return the live prices' `run()` actor, if they have one. While it is away prices grow old, and the gate sees that."""
    return () if plan.feed is None else (ChildSpec(id="feed", factory=plan.feed, backoff=Backoff()),)


def _order(plan: Plan) -> Callable[[], Order]:
    """Return what makes an order's actor: a live one has a timer, and a deadline for the broker's answers if there is one."""
    is_live = plan.port is not None or plan.answer_ns is not None
    return (lambda: WatchedOrder(plan.answer_ns)) if is_live else Order


def _host(plan: Plan, index: int, name: str, strategy: Strategy) -> ChildSpec:
    def host() -> StrategyHost:
        return StrategyHost(strategy, name, plan.account, f"{plan.id_prefix}s{index}-", plan.shown)

    return ChildSpec(id=f"strategy/{name}", factory=host, restart=Restart.TEMPORARY)
