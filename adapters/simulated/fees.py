"""The fees of the US regulators on sales of stocks, by the date of the sale.

The Securities and Exchange Commission's fee (section 31 of the Exchange Act) is a part of the notional, FINRA's Trading
Activity Fee an amount a share with a maximum a trade. Regulators charge brokers, who pass them on, rounded up to the cent:
here by Alpaca's rule, which rounds up the total of a day (https://docs.alpaca.markets/docs/regulatory-fees). Each sale is
charged what the day's sales so far come to, less what they were charged before.

On 2026-11-22 the section 31 rates of 1997 to 2005 and about ten later ones were found in the sources below; the others,
most of them of 2007 to 2024, and FINRA's maximum of 2026 were not, so check them before you rely on a cent. The fee for the
Consolidated Audit Trail (a few cents for a thousand shares, since late 2024) is left out: it changes twice a year and is not
passed on by every broker.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from datetime import date
from decimal import ROUND_CEILING, Decimal

import msgspec

from ...actors.model import ZERO

CENT = Decimal("0.01")
MILLION = Decimal(1_000_000)
EPOCH_DAY = date(1970, 1, 1).toordinal()

SECTION_31: tuple[tuple[str, str], ...] = (
    ("1997-01-01", "33.33"),  # one 300th of a per cent
    ("2001-12-28", "15.00"),
    ("2002-04-01", "30.10"),
    ("2003-03-22", "25.20"),
    ("2003-04-01", "46.80"),
    ("2004-02-22", "39.00"),
    ("2004-04-01", "23.40"),
    ("2005-01-07", "32.90"),
    ("2005-04-01", "41.80"),
    ("2005-12-22", "30.70"),
    ("2007-03-17", "15.30"),
    ("2008-01-25", "11.00"),
    ("2008-04-01", "5.60"),
    ("2009-04-10", "25.70"),
    ("2010-01-15", "12.70"),
    ("2010-04-01", "16.90"),
    ("2011-01-21", "19.20"),
    ("2012-02-21", "18.00"),
    ("2012-04-01", "22.40"),
    ("2013-05-25", "17.40"),
    ("2014-03-18", "22.10"),
    ("2015-02-14", "18.40"),
    ("2016-02-16", "21.80"),
    ("2017-07-04", "23.10"),
    ("2018-05-22", "13.00"),
    ("2019-04-16", "20.70"),
    ("2020-02-18", "22.10"),
    ("2021-02-25", "5.10"),
    ("2022-05-14", "22.90"),
    ("2023-02-27", "8.00"),
    ("2024-05-22", "27.80"),
    ("2025-05-14", "0.00"),
    ("2026-04-04", "20.60"),
)
"""Section 31: from when, and dollars per million of notional.

Sources: the SEC's fee rate advisories (https://www.sec.gov/news/press/2010/2010-255.htm for 2011, the other years
alike), FINRA's information notices (https://www.finra.org/rules-guidance/notices/information-notice-050718 for 2018),
the list of 1997 to 2013 at http://traderstatus.com/secfeerates.htm, and for 2026 the order in 91 FR 10643. Under the
statute a rate begins 30, since fiscal year 2012 60 days after the year's appropriation.
"""

TRADING_ACTIVITY: tuple[tuple[str, str, str], ...] = (
    ("1997-01-01", "0", "0"),
    ("2002-10-01", "0.0001", "10.00"),
    ("2004-11-01", "0.000075", "3.75"),
    ("2011-07-01", "0.000090", "4.50"),
    ("2012-03-01", "0.000095", "4.75"),
    ("2012-07-01", "0.000119", "5.95"),
    ("2022-01-01", "0.000130", "6.49"),
    ("2023-01-01", "0.000145", "7.27"),
    ("2024-01-01", "0.000166", "8.30"),
    ("2026-01-01", "0.000195", "9.79"),
)
"""Trading Activity Fee: from when, dollars a share, and at most a trade. There was none before October 2002.

Sources: NASD Notices to Members 02-63 and 04-84, FINRA Regulatory Notices 11-27 and 12-06, 77 FR 27527 (2012),
SR-FINRA-2020-032 (2022 to 2024), SR-FINRA-2024-019 (89 FR 93709, from 2026). The first rate was lowered for some months
of 2003; that is not told apart here.
"""


class _Rates(msgspec.Struct, frozen=True):
    """The rates of one day."""

    per_notional: Decimal
    per_share: Decimal
    most: Decimal


def _day(text: str) -> int:
    """Return a date as days since 1970-01-01."""
    return date.fromisoformat(text).toordinal() - EPOCH_DAY


NOTIONAL_DAYS = tuple(_day(since) for since, _ in SECTION_31)
SHARE_DAYS = tuple(_day(since) for since, _, _ in TRADING_ACTIVITY)
FIRST_DAY = NOTIONAL_DAYS[0]


def rates_on(session: int) -> _Rates:
    """Return the rates of a session (days since 1970-01-01), the first ones for what is earlier."""
    rate = SECTION_31[max(bisect_right(NOTIONAL_DAYS, session) - 1, 0)][1]
    _, share, most = TRADING_ACTIVITY[max(bisect_right(SHARE_DAYS, session) - 1, 0)]
    return _Rates(Decimal(rate) / MILLION, Decimal(share), Decimal(most))


class RegulatoryFees:
    """What the regulators take of an account's sales, day by day. Tell it each session before its first sale."""

    __slots__ = ("_charged", "_of_notional", "_of_shares", "_rates", "_warn", "_warned")

    def __init__(self, warn: Callable[[str], None]) -> None:
        self._warn = warn
        self._warned = False
        self._rates = rates_on(FIRST_DAY)
        self._of_notional = self._of_shares = self._charged = ZERO

    def begin(self, session: int) -> None:
        """Begin a day: its rates hold, and nothing was sold yet."""
        self._rates = rates_on(session)
        self._of_notional = self._of_shares = self._charged = ZERO
        if session < FIRST_DAY and not self._warned:
            self._warned = True
            first = SECTION_31[0][0]
            self._warn(f"regulatory fees: known since {first}; earlier sales are charged at the rates of that day")

    def charge(self, quantity: Decimal, notional: Decimal) -> Decimal:
        """Return what one sale costs, and remember it."""
        rates = self._rates
        self._of_notional += notional * rates.per_notional
        self._of_shares += min(quantity * rates.per_share, rates.most)
        total = _rounded(self._of_notional) + _rounded(self._of_shares)
        fees = total - self._charged
        self._charged = total
        return fees


def _rounded(amount: Decimal) -> Decimal:
    return amount.quantize(CENT, rounding=ROUND_CEILING) if amount else ZERO
