"""`execution.backtest`: how the simulated exchange fills orders, what it charges, and the account that it keeps."""

from __future__ import annotations

from decimal import Decimal
from typing import ClassVar

from .kinds import (
    AccountType,
    CommissionPreset,
    CutOff,
    Delay,
    FillAt,
    Fraction,
    IntrabarPath,
    LimitFill,
    MarginCall,
    NotNegative,
    OutsideSession,
    Positive,
    Section,
    SettlementDays,
    Share,
    VolatilitySessions,
    YearlyRate,
)


class SlippageSettings(Section, frozen=True, kw_only=True):
    """`execution.backtest.slippage`: what a fill is worse than the market's price; both parts add up. A number is `fraction`."""

    shorthand: ClassVar[tuple[str, ...]] = ("fraction",)

    fraction: Fraction = Decimal("0.0")
    """Fraction of the price, against the order (0.001 = 0.1 %)."""
    fixed: NotNegative = Decimal("0.0")
    """Currency a share, against the order."""


class CommissionSettings(Section, frozen=True, kw_only=True):
    """`execution.backtest.commission`: what the broker takes. A number is `per_order`, a word is `preset`.

    The parts add up; `minimum` and `maximum` bound their sum, over all fills of an order.
    """

    shorthand: ClassVar[tuple[str, ...]] = ("per_order", "preset")

    preset: CommissionPreset | None = None
    """A broker's price list, in place of numbers of one's own: `alpaca`, `ib_fixed` or `ib_tiered`."""
    per_order: NotNegative = Decimal("0.0")
    """Currency an order, charged on its first fill."""
    per_share: NotNegative = Decimal("0.0")
    """Currency a share."""
    fraction: Fraction = Decimal("0.0")
    """Fraction of the notional (0.001 = 0.1 %)."""
    minimum: NotNegative | None = None
    """Currency an order, at least; None is no minimum."""
    maximum: Share | None = None
    """Fraction of the order's notional, at most; None is no maximum."""


class ImpactSettings(Section, frozen=True, kw_only=True):
    """`execution.backtest.impact`: how far an order moves the price by its size, as a square root. A number is `coefficient`."""

    shorthand: ClassVar[tuple[str, ...]] = ("coefficient",)

    coefficient: Positive | None = None
    """Impact = coefficient × volatility of a session × √(quantity / volume); about 1 for stocks. None is no impact."""
    volatility_sessions: VolatilitySessions = 20
    """Sessions that the volatility is measured over."""


class LatencySettings(Section, frozen=True, kw_only=True):
    """`execution.backtest.latency`: how long a command is under way to the exchange. A number is both."""

    shorthand: ClassVar[tuple[str, ...]] = ("submit", "cancel")

    submit: Delay = Decimal("0.0")
    """Seconds until a new order, or a replacement, is at the exchange."""
    cancel: Delay = Decimal("0.0")
    """Seconds until a cancellation is at the exchange."""


class AccountSettings(Section, frozen=True, kw_only=True):
    """`execution.backtest.account`: the account of the simulated exchange."""

    type: AccountType = "cash"
    """`cash`: no short sales and no borrowing; `margin`: both, within `initial_margin`."""
    cash: Positive = Decimal(100000)
    """Cash at the start, in currency."""
    initial_margin: Share = Decimal("0.5")
    """Share of the exposure that equity must cover when an order is sent; margin accounts only."""
    short_initial_margin: Positive | None = None
    """The same for short positions; None is `initial_margin`."""
    maintenance_margin: Share = Decimal("0.25")
    """Share of the gross exposure that equity must cover at each session's close, else a margin call; margin accounts only."""
    margin_call: MarginCall = "flag"
    """Whether a margin call is only told (`flag`), or positions are sold at the next open too (`liquidate`)."""
    borrow_rate: YearlyRate = Decimal("0.0")
    """Fraction a year of the market value of short positions, charged for each night."""
    settlement_days: SettlementDays = 0
    """Sessions until the money of a sale may be spent; cash accounts only."""


class BacktestSettings(Section, frozen=True, kw_only=True):
    """`execution.backtest`: how the simulated exchange fills orders. The defaults are the pessimistic choices, save that costs are zero."""

    slippage: SlippageSettings = SlippageSettings()
    commission: CommissionSettings = CommissionSettings()
    regulatory_fees: bool = False
    """Whether sales pay the US SEC section 31 fee and the FINRA TAF, at the rates of their date."""
    impact: ImpactSettings = ImpactSettings()
    latency: LatencySettings = LatencySettings()
    fill: FillAt = "next_open"
    """`next_open`: an order is live from the next bar on; `close`: it fills at once, at the close of the bar it was made on."""
    limit_fill: LimitFill = "through"
    """Whether the price must trade `through` a limit, or only `touch` it, to fill the order."""
    path: IntrabarPath = "pessimistic"
    """The order in which a bar's prices are taken to have come: the worst for the orders, the likely one, or the best."""
    same_bar_exits: bool = True
    """Whether an exit that is sent on the fill of its entry may trade in the rest of that bar."""
    outside_session: OutsideSession = "next"
    """What a DAY, OPG or CLS order outside of a session is: one for the `next` session, or an error (`refuse`)."""
    opg_cutoff: CutOff = Decimal(120)
    """Seconds before the open after which OPG orders are refused."""
    cls_cutoff: CutOff = Decimal(600)
    """Seconds before the close after which CLS orders are refused."""
    participation: Share | None = Decimal("0.1")
    """Share of a bar's volume that all orders together may take; None is unlimited."""
    price_increment: Positive = Decimal("0.0001")
    """Increment, in currency, that fill prices are rounded to, against the order."""
    adjust_orders_for_dividends: bool = True
    """Whether open GTC buy limits and sell stops are lowered by a cash dividend (FINRA rule 5330)."""
    account: AccountSettings = AccountSettings()
