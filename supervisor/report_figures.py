"""The charts of a report as plotly's JSON: plain dicts, so that a page needs plotly's script alone and no plotly in the run.

Colours are those of the light theme; `DARK` has the dark one's for each, and nothing else may be used: a page swaps them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

from ..actors.bars import CorporateAction, CorporateActionKind
from ..actors.model import Side
from ..config.describing import number_text
from .report_costs import Costs
from .report_curves import Curve, PriceCurve
from .report_data import Mark, ReportData, SymbolHistory
from .result import COSTS, INCOME
from .times import time_text

Figure = dict[str, Any]

PAPER, INK, MUTED, GRID = "#ffffff", "#1d2329", "#68727d", "#e4e8ec"
ACCENT, SOFT, FAINT = "#1f5f99", "#8fb3d4", "#dce8f3"
GREY, PALE = "#8a949f", "#c3cad2"
DARK = {
    PAPER: "#14181c",
    INK: "#e3e7eb",
    MUTED: "#97a1ab",
    GRID: "#2a3036",
    ACCENT: "#6fb1ec",
    SOFT: "#3f6a93",
    FAINT: "#1d2f40",
    GREY: "#7f8994",
    PALE: "#4a535c",
}

COST_LOOKS = {
    "commission": ("Commission", ACCENT),
    "fees": ("Fees", MUTED),
    "slippage": ("Slippage", SOFT),
    "impact": ("Impact", GREY),
    "borrow_fees": ("Borrow fees", PALE),
    "account_fees": ("Account fees", INK),
    "dividends": ("Dividends", GREY),
    "interest": ("Interest", PALE),
}
"""Name and colour of every kind of cost and income."""

MARKS = {Side.BUY: ("Buys", "triangle-up", ACCENT), Side.SELL: ("Sells", "triangle-down", INK)}
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', sans-serif"
WIDE = 10
"""Times the lowest price that the highest must be for a logarithmic scale: on another nothing is seen of the low ones."""
GAP = 0.075
"""Between two panels, as a share of the chart's height."""


def overview(data: ReportData) -> Figure:
    """Equity, below it the drawdown and, where it is known, the exposure."""
    panels = [("Equity", 0.7), ("Drawdown", 0.3)]
    traces = [
        _line("Equity", _xy(data.equity, 2), ACCENT, 1.6, showlegend=False),
        _area("Drawdown", _xy(data.drawdown, 5), "y2", hovertemplate="%{y:.2%}"),
    ]
    if data.gross is not None and data.net is not None:
        panels = [("Equity", 0.54), ("Drawdown", 0.2), ("Exposure, as a fraction of equity", 0.26)]
        traces += [
            _line("Gross", _xy(data.gross, 4), INK, 1.2, yaxis="y3", hovertemplate="%{y:.1%}"),
            _line("Net", _xy(data.net, 4), ACCENT, 1.2, "dot", yaxis="y3", hovertemplate="%{y:.1%}"),
        ]
    layout = _layout(560, panels)
    layout["yaxis"]["tickformat"] = layout["yaxis"]["hoverformat"] = ",.0f"
    for axis in ("yaxis2", "yaxis3"):
        if axis in layout:
            layout[axis].update(tickformat=".0%", rangemode="tozero", nticks=5)
            layout["legend"]["y"] = layout[axis]["domain"][
                1
            ]  # beside the title of the lowest panel, whose lines it names
    return _with_dates({"data": traces, "layout": layout}, daily=data.daily)


def prices(history: SymbolHistory, *, daily: bool) -> Figure:
    """The fills of one symbol on its price, its corporate actions, and below it the position."""
    layout = _layout(520, [("Price", 0.74), ("Position, shares", 0.26)])
    layout["hovermode"] = "closest"
    position = _xy(history.position, 6)
    traces = []
    if history.prices is not None and history.prices.x:
        begin, end = history.prices.x[0], history.prices.x[-1]
        traces += _price_lines(history.prices)
        margin = (end - begin) // 100
        layout["xaxis"]["range"] = [begin - margin, end + margin]
        if max(history.prices.high) > WIDE * min(history.prices.low):
            layout["yaxis"].update(type="log", dtick="D2", tickformat=",~g")
            layout["annotations"][0]["text"] = "Price (logarithmic scale)"
        # Nothing before the first fill, and after the last one what it left.
        position = {"x": [begin, *position["x"], end], "y": [0, *position["y"], position["y"][-1]]}
    for side, (name, symbol, colour) in MARKS.items():
        marks = [mark for mark in history.marks if mark.event.side is side]
        if marks:
            traces.append(_marks(name, symbol, colour, marks))
    traces += _actions(history.actions, layout)
    traces.append(_area("Position", position, "y2", shape="hv", hovertemplate="%{x}: %{y:,} shares<extra></extra>"))
    return _with_dates({"data": traces, "layout": layout}, daily=daily)


def costs(costs: Costs) -> Figure:
    """Costs by period, one on the other, and below them, if there was any, the income."""
    traces = [*_bars(costs, COSTS, "y"), *(income := _bars(costs, INCOME, "y2"))]
    panels = (
        [(f"Costs by {costs.period.name}", 0.62), ("Income", 0.38)] if income else [(f"By {costs.period.name}", 1.0)]
    )
    layout = _layout(380 if income else 320, panels)
    layout.update(barmode="relative", bargap=0.35)
    layout["xaxis"].update(type="category", categoryarray=list(costs.sums), nticks=10, tickangle=0)
    for axis in ("yaxis", "yaxis2"):
        if axis in layout:
            layout[axis].update(tickformat=",.0f", hoverformat=",.2f", zerolinecolor=MUTED, zeroline=True, nticks=6)
    layout["margin"]["t"] = 56
    layout["legend"]["y"] = 1.09
    return {"data": traces, "layout": layout}


# --- Traces ------------------------------------------------------------------------------------------------------------


def _line(name: str, points: Figure, colour: str, width: float, dash: str = "solid", **more: Any) -> Figure:
    line = {"color": colour, "width": width, "dash": dash}
    return {"type": "scatter", "mode": "lines", "name": name, **points, "line": line, **more}


def _area(name: str, points: Figure, axis: str, *, shape: str = "linear", **more: Any) -> Figure:
    """Return a line with what is between it and zero filled."""
    area = _line(name, points, ACCENT, 1, yaxis=axis, fill="tozeroy", fillcolor=FAINT, showlegend=False, **more)
    area["line"]["shape"] = shape
    return area


def _bars(costs: Costs, kinds: Iterable[str], axis: str) -> list[Figure]:
    """Return a row of bars for every kind that there was."""
    rows = {kind: [float(round(sums[kind], 2)) for sums in costs.sums.values()] for kind in kinds}
    return [
        {
            "type": "bar",
            "x": list(costs.sums),
            "y": row,
            "yaxis": axis,
            "name": COST_LOOKS[kind][0],
            "marker": {"color": COST_LOOKS[kind][1], "line": {"width": 0.5, "color": PAPER}},
        }
        for kind, row in rows.items()
        if any(row)
    ]


def _price_lines(curve: PriceCurve) -> list[Figure]:
    """Return the closes as a line on a band from the lows to the highs."""
    x = list(curve.x)
    edge: dict[str, Any] = {"hoverinfo": "skip", "showlegend": False}
    return [
        _line("Low", {"x": x, "y": _short(curve.low)}, GRID, 0, **edge),
        _line("High", {"x": x, "y": _short(curve.high)}, GRID, 0, fill="tonexty", fillcolor=PALE, **edge),
        _line(
            "Close",
            {"x": x, "y": _short(curve.close)},
            GREY,
            1.1,
            hovertemplate="%{x}: close %{y:,}<extra></extra>",
        ),
    ]


def _marks(name: str, symbol: str, colour: str, marks: Sequence[Mark]) -> Figure:
    return {
        "type": "scatter",
        "mode": "markers",
        "name": name,
        "x": [mark.x for mark in marks],
        "y": [float(mark.event.fill.price) for mark in marks],
        "text": [_told(mark) for mark in marks],
        "hovertemplate": "%{text}<extra></extra>",
        "marker": {"symbol": symbol, "color": colour, "size": 8, "line": {"width": 1, "color": PAPER}},
    }


def _told(mark: Mark) -> str:
    """Return what is seen of a fill under the pointer."""
    event, fill = mark.event, mark.event.fill
    costs = {
        "commission": event.commission - fill.fees,
        "fees": fill.fees,
        "slippage": fill.slippage,
        "impact": fill.impact,
    }
    told = ", ".join(f"{name} {number_text(cost)}" for name, cost in costs.items() if cost) or "no costs"
    return (
        f"<b>{event.side} {number_text(fill.quantity)} {escape(event.symbol)} at {number_text(fill.price)}</b><br>"
        f"{told}<br>{time_text(fill.at_ns)}<br>order {escape(event.client_order_id)}"
    )


def _actions(actions: Sequence[tuple[int, CorporateAction]], layout: Figure) -> list[Figure]:
    """Draw dividends as points at the foot of the prices, and the others as upright lines: they part the prices."""
    paid = [(x, action) for x, action in actions if action.kind is CorporateActionKind.DIVIDEND]
    others = [(x, action) for x, action in actions if action.kind is not CorporateActionKind.DIVIDEND]
    layout["shapes"] = [_upright(x) for x, _ in others]
    layout["annotations"] += [_label(x, action) for x, action in others]
    if not paid:
        return []
    layout["yaxis4"] = {"overlaying": "y", "range": [0, 1], "visible": False, "fixedrange": True}
    return [
        {
            "type": "scatter",
            "mode": "markers",
            "name": "Dividends",
            "yaxis": "y4",
            "x": [x for x, _ in paid],
            "y": [0.015] * len(paid),
            "text": [f"Dividend {number_text(action.amount)} a share" for _, action in paid],
            "hovertemplate": "%{text}<br>%{x}<extra></extra>",
            "marker": {"symbol": "circle", "size": 4, "color": MUTED},
        }
    ]


def _upright(x: int) -> Figure:
    line = {"color": MUTED, "width": 1, "dash": "dot"}
    return {"type": "line", "x0": x, "x1": x, "yref": "y domain", "y0": 0, "y1": 1, "line": line}


def _label(x: int, action: CorporateAction) -> Figure:
    is_split = action.kind is CorporateActionKind.SPLIT
    text = f"split {ratio_text(action)}" if is_split else f"now {escape(action.new_symbol)}"
    return _text(text, MUTED, x=x, y=1, yref="y domain", yanchor="top")


def ratio_text(action: CorporateAction) -> str:
    """Write a split as people do: 2:1, 3:2, 1:10."""
    new, old = action.ratio.as_integer_ratio()
    return f"{new}:{old}" if max(new, old) < 1000 else number_text(action.ratio)


def _xy(curve: Curve, digits: int) -> Figure:
    return {"x": curve.x, "y": [None if value is None else round(value, digits) for value in curve.y]}


def _short(values: Iterable[float]) -> list[float]:
    """Return the numbers without the digits that nobody sees."""
    return [float(f"{value:.7g}") for value in values]


# --- Layout ------------------------------------------------------------------------------------------------------------


def _layout(height: int, panels: Sequence[tuple[str, float]]) -> Figure:
    """Return the look of a chart of panels, one below the other, each with its title and its share of the height."""
    last = len(panels)
    hover = {"family": FONT, "size": 12, "color": INK}
    layout: Figure = {
        "height": height,
        "margin": {"l": 64, "r": 12, "t": 34, "b": 34},
        "paper_bgcolor": PAPER,
        "plot_bgcolor": PAPER,
        "font": {"family": FONT, "size": 12, "color": MUTED},
        "hovermode": "x unified",
        "hoversubplots": "axis",
        "hoverlabel": {"bgcolor": PAPER, "bordercolor": PALE, "font": hover, "align": "left"},
        "legend": {
            "orientation": "h",
            "traceorder": "normal",
            "x": 1,
            "xanchor": "right",
            "y": 1.0,
            "yanchor": "bottom",
        },
        "dragmode": "zoom",
        "annotations": [],
        "xaxis": {"anchor": "y" if last == 1 else f"y{last}", "gridcolor": GRID, "linecolor": PALE, "zeroline": False},
    }
    top, room = 1.0, 1.0 - GAP * (last - 1)
    for number, (title, share) in enumerate(panels, 1):
        bottom = max(0.0, top - share * room)
        axis = {"domain": [bottom, top], "gridcolor": GRID, "zeroline": False, "linecolor": PALE}
        layout["yaxis" if number == 1 else f"yaxis{number}"] = axis
        layout["annotations"].append(
            _text(title, INK, x=0, y=top, xref="paper", yref="paper", yanchor="bottom", yshift=3)
        )
        top = bottom - GAP
    return layout


def _text(text: str, colour: str, **place: Any) -> Figure:
    return {"text": text, "showarrow": False, "font": {"size": 12, "color": colour}, "xanchor": "left", **place}


def _with_dates(figure: Figure, *, daily: bool) -> Figure:
    day = "%a %d %b %Y"
    figure["layout"]["xaxis"].update(type="date", hoverformat=day if daily else f"{day} %H:%M UTC")
    return figure
