"""report.html: one file that shows a run, and needs no network: plotly's script is inside.

plotly is wanted for that script only and is not imported. The same run makes the same page, byte for byte: it says nothing
of the machine, nor of the time that the run took.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any

import msgspec

from ..actors.errors import ConfigError
from ..config import Settings
from . import report_figures as figures
from . import report_tables as tables
from .report_data import ReportData
from .report_style import SCRIPT, STYLE

NAME = "report.html"
LIBRARY = "plotly"
HOW_TO_GET_IT = f"it needs {LIBRARY}: pip install 'ordersmith[backtest]'"
POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:"
"""Nothing may be fetched, whatever a browser or a script would like to: all that is needed is inside."""


def can_be_made() -> bool:
    """Whether plotly is installed."""
    return _library_file() is not None


def write(file: Path, data: ReportData, settings: Settings) -> Path:
    """Write the page. Raises ConfigError without plotly, and OSError."""
    library = _library_file()
    if library is None:
        raise ConfigError(f"{NAME} cannot be made: {HOW_TO_GET_IT}")
    file.write_text(page(data, settings, library.read_text(encoding="utf-8")), encoding="utf-8", newline="\n")
    return file


def _library_file() -> Path | None:
    """Return the file of plotly's script, found without importing plotly, which takes longer than the page does."""
    found = importlib.util.find_spec(LIBRARY)
    if found is None or found.origin is None:
        return None
    file = Path(found.origin).parent / "package_data" / "plotly.min.js"
    return file if file.is_file() else None


def as_plotly(figure: figures.Figure) -> Any:
    """Return a chart as plotly's own figure. Raises ConfigError without plotly."""
    if not can_be_made():
        raise ConfigError(f"a figure cannot be made: {HOW_TO_GET_IT}")
    from plotly.graph_objects import Figure

    return Figure({**figure, "layout": {**figure["layout"], "template": "none"}})  # the looks are ours


def page(data: ReportData, settings: Settings, library: str) -> str:
    """Return the page, with plotly's script in it."""
    title = tables.title(settings)
    return PAGE.format(
        policy=POLICY,
        title=escape(title),
        style=STYLE,
        body="\n".join(_body(data, settings, title)),
        figures=_embedded(data),
        library=library.replace("</script", "<\\/script"),
        script=SCRIPT,
    )


PAGE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<main>
{body}
</main>
<script type="application/json" id="figures">{figures}</script>
<script>{library}</script>
<script>{script}</script>
</body>
</html>
"""


def _body(data: ReportData, settings: Settings, title: str) -> Iterator[str]:
    """Yield the sections in reading order: what came of it, how it came about, what it cost, how it was run."""
    summary = data.summary
    yield tables.head(data, title)
    yield _section("Performance", '<div class="chart" data-figure="overview"></div>')
    yield from (_section("Returns by month", table) for table in tables.months(data))
    yield from _fills(data)
    yield from _costs(data)
    yield _columns(
        ("Orders by state", tables.counts(summary.orders_by_state, "There were no orders.")),
        ("Denials by code", tables.counts(summary.denials_by_code, "The risk gate denied nothing.")),
    )
    yield _columns(("Summary", tables.summary(summary)), ("Settings", tables.settings(settings)))
    if summary.warnings:
        yield _section("Warnings", tables.listed(summary.warnings))
    if data.notes:
        yield _section("How to read the charts", tables.listed(data.notes))
    yield tables.foot(summary)


def _fills(data: ReportData) -> Iterator[str]:
    if not data.symbols:
        return
    choices = "".join(
        f'<option value="{number}">{escape(history.symbol)}: {history.fills:,} {"fill" if history.fills == 1 else "fills"}</option>'
        for number, history in enumerate(data.symbols)
    )
    yield (
        '<section>\n<div class="head"><h2>Fills on the price</h2>'
        f'<label>Symbol <select id="symbol">{choices}</select></label></div>\n<div class="chart" id="prices"></div>\n</section>'
    )


def _costs(data: ReportData) -> Iterator[str]:
    chart = figures.costs(data.costs)
    drawn = '<div class="chart" data-figure="costs"></div>' if chart["data"] else ""
    yield _section("Costs", f'<div class="costs">\n<div>{tables.costs(data.summary)}</div>\n<div>{drawn}</div>\n</div>')


def _section(name: str, content: str) -> str:
    return f"<section>\n<h2>{name}</h2>\n{content}\n</section>"


def _columns(*parts: tuple[str, str]) -> str:
    columns = "\n".join(f"<div>\n<h2>{name}</h2>\n{content}\n</div>" for name, content in parts)
    return f'<section class="columns">\n{columns}\n</section>'


def _embedded(data: ReportData) -> str:
    """Return the charts as JSON that may stand inside HTML."""
    given = {
        "figures": {"overview": figures.overview(data), "costs": figures.costs(data.costs)},
        "symbols": [figures.prices(history, daily=data.daily) for history in data.symbols],
        "dark": figures.DARK,
    }
    return msgspec.json.encode(given).decode().replace("<", "\\u003c")
