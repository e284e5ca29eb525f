"""A command that is refused is answered, or recorded where nobody waits for the answer."""

from __future__ import annotations

from datetime import date

import pytest

from ordersmith import BacktestExecutor, Bars, Order, Strategy
from ordersmith.actors.events import CommandIgnored

DAYS = [(date(2024, 1, day), 100.0, 101.0, 99.0, 100.0, 1e6) for day in (2, 3, 4)]


@pytest.mark.parametrize(
    ("command", "about", "says"),
    [
        (lambda s: s.submit(Order.buy("A", 11, client_order_id="one")), "one", "was used before with other terms"),
        (lambda s: s.replace("nobody", quantity=3), "nobody", "is not known"),
        (lambda s: s.replace("one", quantity=3), "one", "cannot be replaced: it is FILLED"),
        (lambda s: s.set_targets({"A": "NaN"}), "targets", "finite"),
    ],
    ids=["other terms", "unknown order", "closed order", "no number"],
)
def test_a_strategys_refused_command_is_recorded_and_told(command, about, says):
    """The journal has it, and the summary warns of it: a strategy does not lose a command without a word."""

    class Careless(Strategy):
        day = 0

        def on_bars(self, bars: Bars) -> None:
            self.day += 1
            if self.day == 1:
                self.submit(Order.buy("A", 10, client_order_id="one"))
            elif self.day == 2:
                command(self)

    result = BacktestExecutor({}, strategy=Careless(), data={"A": DAYS}).run()
    (ignored,) = [record.event for record in result.records() if isinstance(record.event, CommandIgnored)]
    assert ignored.about == about
    assert says in ignored.text
    (warning,) = result.summary.warnings
    assert says in warning


def test_an_id_of_another_form_is_refused_where_it_is_given():
    """`submit` raises at once, so that the traceback shows the line."""

    class Spaced(Strategy):
        def on_bars(self, bars: Bars) -> None:
            with pytest.raises(ValueError, match="'buy 1'; 1 to 40 letters"):
                self.submit(Order.buy("A", 10, client_order_id="buy 1"))

    assert BacktestExecutor({}, strategy=Spaced(), data={"A": DAYS}).run().summary.orders == 0


def test_a_run_that_nothing_was_asked_of_has_a_result():
    """Its summary shows the account as it began."""
    assert BacktestExecutor({}, data={"A": DAYS}).result().summary.final_equity == 100_000
