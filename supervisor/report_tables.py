"""The words and tables of a report, as HTML. Everything that comes from outside is escaped here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from html import escape

from ..config import Settings, describe
from .presenting import money, shown, summary_rows
from .report_costs import day_of
from .report_data import ReportData
from .result import COSTS, INCOME, Summary

NOT_OF_THE_RUN = ("Speed",)
"""Lines of the printed summary that differ between two runs of the same."""
SECTIONS_SHOWN = (
    "execution.backtest",
    "execution.targets",
    "risk",
    "breaker",
    "instruments",
    "data",
    "strategy",
    "journal",
    "seed",
)
MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()
STRONGEST_TINT = 55
SYMBOLS_NAMED = 12


def title(settings: Settings) -> str:
    """Return what the report is called: by the strategy, where the configuration names one."""
    path = settings.strategy.path
    return f"Backtest of {path.rpartition(':')[2]}" if path else "Backtest"


def head(data: ReportData, name: str) -> str:
    """Return the title with the run's most wanted figures."""
    s = data.summary
    symbols = [history.symbol for history in data.symbols]
    named = ", ".join(symbols[:SYMBOLS_NAMED]) + (
        f" and {len(symbols) - SYMBOLS_NAMED} more" if len(symbols) > SYMBOLS_NAMED else ""
    )
    traded = f" · {named}" if named else ""
    tiles = (
        ("Final equity", money(s.final_equity), f"from {money(s.initial_cash)}"),
        ("Return", f"{s.total_return:+.2%}", f"over {s.sessions:,} {'session' if s.sessions == 1 else 'sessions'}"),
        ("Maximum drawdown", f"{s.max_drawdown:.2%}", "at sessions’ closes"),
        ("Sharpe ratio", "–" if s.sharpe is None else f"{s.sharpe:.2f}", "a year"),
        ("Costs", money(s.costs), _of_turnover(s.costs, s.traded)),
        ("Fills", f"{s.fills:,}", f"of {s.orders:,} orders"),
    )
    drawn = "".join(
        f"<div><dt>{label}</dt><dd>{_signed(value)}<small>{escape(note)}</small></dd></div>"
        for label, value, note in tiles
    )
    return (
        f"<header>\n<h1>{escape(name)}</h1>\n<p>{s.start} to {s.end}{escape(traded)}</p>\n</header>\n"
        f'<dl class="figures">{drawn}</dl>'
    )


def months(data: ReportData) -> Iterator[str]:
    """Yield the table of monthly returns, if there are two months."""
    by_year = _monthly(data)
    if sum(len(row) for row in by_year.values()) < 2:
        return
    strongest = max(abs(change) for row in by_year.values() for change in row.values()) or 1.0
    heads = "".join(f"<th>{name}</th>" for name in (*MONTHS, "Year"))
    rows = []
    for year, row in by_year.items():
        cells = "".join(_month(row.get(month), strongest) for month in range(1, 13))
        whole = 1.0
        for change in row.values():
            whole *= 1 + change
        rows.append(f'<tr><th>{year}</th>{cells}<td class="year">{_percent(whole - 1)}</td></tr>')
    yield (
        '<div class="scroll"><table class="months">\n'
        f"<thead><tr><th></th>{heads}</tr></thead>\n<tbody>\n{chr(10).join(rows)}\n</tbody></table></div>"
        '<p class="hint">Per cent, from close to close of the months’ last sessions.</p>'
    )


def _monthly(data: ReportData) -> dict[int, dict[int, float]]:
    """Return the change of equity over every month; none from an equity that is not positive."""
    ends: dict[tuple[int, int], float] = {}
    for session, equity in data.closes:
        day = day_of(session)
        ends[day.year, day.month] = equity
    table: dict[int, dict[int, float]] = {}
    before = float(data.summary.initial_cash)
    for (year, month), equity in ends.items():
        if before > 0:
            table.setdefault(year, {})[month] = equity / before - 1
        before = equity
    return table


def _month(change: float | None, strongest: float) -> str:
    if change is None:
        return "<td></td>"
    kind = "gain" if change > 0 else "loss"
    depth = round(abs(change) / strongest * STRONGEST_TINT)
    return f'<td class="{kind}" style="--depth:{depth}%">{_percent(change)}</td>'


def _percent(change: float) -> str:
    return _signed(f"{round(change * 100, 1) or 0.0:.1f}")  # no minus before a zero


def costs(s: Summary) -> str:
    """Return what trading cost, by kind, also as a part of what was traded."""
    body = "".join(_cost(name, value, s.traded) for name, value in shown(s, COSTS))
    income = "".join(
        f'<tr><th>Income: {name}</th><td class="number">{_signed(money(value))}</td><td></td></tr>'
        for name, value in shown(s, INCOME)
    )
    total = (
        f'<tr class="total"><th>Together</th><td class="number">{_signed(money(s.costs))}</td>'
        f'<td class="number">{_of_turnover(s.costs, s.traded, unit=False)}</td></tr>'
    )
    return (
        '<table>\n<thead><tr><th></th><th class="number">Currency</th><th class="number">bp of turnover</th></tr></thead>\n'
        f"<tbody>{body}{total}{income}</tbody></table>\n"
        '<p class="hint">Slippage and impact are contained in the prices of the fills. '
        f"Turnover: {money(s.traded)}.</p>"
    )


def _cost(name: str, value: Decimal, traded: Decimal) -> str:
    return (
        f'<tr><th>{name.capitalize()}</th><td class="number">{_signed(money(value))}</td>'
        f'<td class="number">{_of_turnover(value, traded, unit=False)}</td></tr>'
    )


def _of_turnover(cost: Decimal, traded: Decimal, *, unit: bool = True) -> str:
    if not traded:
        return "" if unit else "–"
    points = _signed(f"{cost / traded * 10_000:.2f}")
    return f"{points} bp of turnover" if unit else points


def counts(parts: Mapping[str, int], none: str) -> str:
    """Return a table of numbers with a bar each."""
    shown = [(name, number) for name, number in parts.items() if number]
    if not shown:
        return f'<p class="hint">{none}</p>'
    most = max(number for _, number in shown)
    rows = "".join(
        f'<tr><th>{escape(name)}</th><td class="number">{number:,}</td>'
        f'<td class="bar"><span style="width:{number / most * 100:.1f}%"></span></td></tr>'
        for name, number in shown
    )
    return f"<table><tbody>{rows}</tbody></table>"


def summary(s: Summary) -> str:
    """Return the lines of the printed summary."""
    return _table((name, _signed(value)) for name, value in summary_rows(s) if name not in NOT_OF_THE_RUN)


def settings(given: Settings) -> str:
    """Return the settings of the run that are not the defaults. Of a path only the last part is told."""
    defaults = dict(describe(Settings()))
    changed = [
        (path, value.replace("\\", "/").rstrip("/").rpartition("/")[2] if "/" in value or "\\" in value else value)
        for path, value in describe(given)
        if defaults.get(path) != value and path.startswith(SECTIONS_SHOWN)
    ]
    return _table(changed) if changed else '<p class="hint">Every setting had its default.</p>'


def listed(lines: Iterable[str]) -> str:
    return f"<ul>{''.join(f'<li>{escape(line)}</li>' for line in lines)}</ul>"


def foot(s: Summary) -> str:
    """Return what identifies the run."""
    return (
        f"<footer>Ordersmith · trace hash {s.trace_hash} · seed {s.seed} · {s.records:,} records. "
        "The same configuration, data and seed give the same trace hash.</footer>"
    )


def _table(rows: Iterable[tuple[str, str]]) -> str:
    body = "".join(f'<tr><th>{escape(name)}</th><td class="text">{escape(value)}</td></tr>' for name, value in rows)
    return f"<table><tbody>{body}</tbody></table>"


def _signed(text: str) -> str:
    """Write a leading minus as wide as a plus, so that figures stand in line."""
    return f"−{text[1:]}" if text.startswith("-") else text
