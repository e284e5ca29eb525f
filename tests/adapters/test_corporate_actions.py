"""Corporate actions: the file, the bars that they come with, and prices that do not fit them."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ordersmith.actors.bars import CorporateAction, CorporateActionKind
from ordersmith.actors.errors import DataError
from ordersmith.adapters.bar_feed import BarFeed
from ordersmith.adapters.bar_sessions import EPOCH_DAY
from ordersmith.adapters.corporate_actions import load_actions, read_actions
from ordersmith.adapters.market_data import load_bars

HEADER = "symbol,kind,date,ratio,amount,pay_date,new_symbol"
SPLIT, DIVIDEND, CHANGE = CorporateActionKind


def number(day):
    return date.fromisoformat(day).toordinal() - EPOCH_DAY


def split(symbol, day, ratio=2):
    return CorporateAction(kind=SPLIT, symbol=symbol, session=number(day), ratio=Decimal(ratio))


def dividend(symbol, day, amount="0.25"):
    session = number(day)
    return CorporateAction(kind=DIVIDEND, symbol=symbol, session=session, amount=Decimal(amount), pay_session=session)


@pytest.fixture
def written(tmp_path):
    """Write a file of corporate actions and return its path."""

    def write(*lines, header=HEADER):
        file = tmp_path / "actions.csv"
        file.write_text("\n".join([header, *lines, ""]), encoding="utf-8")
        return file

    return write


# --- The file ----------------------------------------------------------------------------------------------------------


def test_every_kind_is_read(written):
    """A split, a dividend with its pay date, one without, and a change of symbol come out in order of their sessions."""
    file = written(
        "FB,symbol_change,2022-06-09,,,,META",
        "MSFT,dividend,2004-11-15,,3.00,2004-12-02,",
        "IBM,dividend,2009-05-06,,0.55,,",
        "AAPL,split,2005-02-28,2:1,,,",
    )
    assert load_actions(file) == (
        (
            CorporateAction(
                kind=DIVIDEND,
                symbol="MSFT",
                session=number("2004-11-15"),
                amount=Decimal("3.00"),
                pay_session=number("2004-12-02"),
            ),
            split("AAPL", "2005-02-28"),
            dividend("IBM", "2009-05-06", "0.55"),
            CorporateAction(kind=CHANGE, symbol="FB", session=number("2022-06-09"), new_symbol="META"),
        ),
        (),
    )


@pytest.mark.parametrize(
    ("text", "ratio"),
    [("2", "2"), ("2:1", "2"), ("3:2", "1.5"), ("1:10", "0.1"), ("0.1", "0.1"), ("2-for-1", "2"), ("7 for 1", "7"), ("1/4", "0.25")],
)  # fmt: skip
def test_ratio_may_be_written_in_many_ways(written, text, ratio):
    """New shares for one old, as a number or as new and old."""
    (action,) = load_actions(written(f"A,split,2005-02-28,{text},,,")).actions
    assert action.ratio == Decimal(ratio)


def test_ratio_without_end_has_the_digits_of_the_domain(written):
    """One for three is no finite decimal; it has all the digits that the domain calculates with."""
    (action,) = load_actions(written("A,split,2005-02-28,1:3,,,")).actions
    assert action.ratio == Decimal("0." + 34 * "3")


@pytest.mark.parametrize(
    ("header", "line"),
    [
        ("Ticker,Type,Ex-Date,Split Ratio", "A,Stock Split,2005-02-28,2:1"),
        ("event,sym,effective_date,factor", "FORWARD_SPLIT,A,2005/02/28,2.0"),
        ("\ufeffSYMBOL,KIND,DATE,RATIO,AMOUNT,NOTE", "A,split,2005-02-28,2,0.0,a forward split"),
        ("symbol,action,session,split,new_ticker", " A , split ,2005-02-28, 2 ,"),
    ],
)
def test_common_column_names_are_recognised(written, header, line):
    """Names, kinds and spellings that sources use are understood, and columns without a meaning are left alone."""
    assert load_actions(written(line, header=header)).actions == (split("A", "2005-02-28"),)


BAD = [
    ("A,merger,2005-02-28,,,,", "kind 'merger' is not known; give split, dividend or symbol_change"),
    (",split,2005-02-28,2,,,", "symbol is missing"),
    ("A,split,28.02.2005,2,,,", "date '28.02.2005' is not a date; write it as 2005-02-28"),
    ("A,split,,2,,,", "date is missing"),
    ("A,split,0205-02-28,2,,,", "date '0205-02-28' is not a date; write it as 2005-02-28"),
    ("A,split,2005-02-28,,,,", "ratio is missing; a split needs one, such as 2 or 2:1 for a split, 0.1 or 1:10 for a reverse split"),
    ("A,split,2005-02-28,0,,,", "ratio '0' is not new shares for old ones, such as 2 or 2:1 for a split, 0.1 or 1:10 for a reverse split"),
    ("A,split,2005-02-28,-2,,,", "ratio '-2' is not new shares for old ones"),
    ("A,split,2005-02-28,2:0,,,", "ratio '2:0' is not new shares for old ones"),
    ("A,split,2005-02-28,two,,,", "ratio 'two' is not new shares for old ones"),
    ("A,split,2005-02-28,1e9,,,", "ratio '1e9' is not new shares for old ones"),
    ("A,split,2005-02-28,1:1,,,", "ratio '1:1' changes nothing; leave the row out"),
    ("A,split,2005-02-28,2,0.5,,", "amount '0.5' does not belong to a split; leave it empty"),
    ("A,dividend,2005-02-28,,,,", "amount is missing; a dividend needs one, such as 0.25"),
    ("A,dividend,2005-02-28,,-1,,", "amount '-1' is not currency a share, such as 0.25"),
    ("A,dividend,2005-02-28,,nan,,", "amount 'nan' is not currency a share, such as 0.25"),
    ("A,dividend,2005-02-28,,0.5,2005-02-01,", "pay_date 2005-02-01 is before date 2005-02-28, the ex-date"),
    ("A,dividend,2005-02-28,,0.5,soon,", "pay_date 'soon' is not a date; write it as 2005-02-28"),
    ("A,symbol_change,2005-02-28,,,,", "new_symbol is missing; a symbol_change needs one, the symbol from that date on"),
    ("A,symbol_change,2005-02-28,,,,A", "new_symbol 'A' is the symbol itself"),
    ("A,split,2005-02-28,2,,,,,", "9 fields where the header has 7"),
]  # fmt: skip


@pytest.mark.parametrize(("line", "reason"), BAD)
def test_bad_row_is_told_with_its_line(written, line, reason):
    """A row that cannot be right stops the loading with its file, line and reason, or is skipped and told."""
    file = written("B,split,2004-01-02,2,,,", line)
    with pytest.raises(DataError) as caught:
        load_actions(file)
    head, row = str(caught.value).splitlines()
    assert head == "1 bad row in corporate actions; correct them, or set data.bad_rows to skip"
    assert row.startswith(f"  actions.csv line 3: {reason}")
    skipped = load_actions(file, bad_rows="skip")
    assert skipped.actions == (split("B", "2004-01-02"),)
    assert len(skipped.bad_rows) == 1


def test_all_bad_rows_are_told_at_once(written):
    """Ten bad rows are listed and the others counted."""
    with pytest.raises(DataError) as caught:
        load_actions(written(*(line for line, _ in BAD)))
    lines = str(caught.value).splitlines()
    assert lines[0].startswith(f"{len(BAD)} bad rows in corporate actions")
    assert len(lines) == 12
    assert lines[-1] == f"  and {len(BAD) - 10} more"


def test_same_action_twice_is_a_bad_row(written):
    """A split that is listed twice would count twice; two dividends of one day are usual, two equal ones are not."""
    file = written("A,split,2005-02-28,2,,,", "A,split,2005-02-28,2:1,,,")
    with pytest.raises(DataError, match=r"actions.csv line 3: the same split of A is in line 2; keep one of them"):
        load_actions(file)
    assert len(load_actions(written("A,dividend,2005-02-28,,3,,", "A,dividend,2005-02-28,,0.08,,")).actions) == 2
    with pytest.raises(DataError, match=r"the same dividend of A is in line 2"):
        load_actions(written("A,dividend,2005-02-28,,3,,", "A,dividend,2005-02-28,,3.0,,"))


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ("symbol,kind,ratio", "actions.csv has no column for date; its columns are 'symbol', 'kind', 'ratio'. Accepted names: date: date"),
        ("symbol,kind,date,ex_date", "more than one column for date"),
    ],
)  # fmt: skip
def test_layout_that_is_not_recognised_names_the_columns(written, header, words):
    """A file without a needed column says what it has and what is accepted."""
    with pytest.raises(DataError, match=r"data\.corporate_actions: ") as caught:
        load_actions(written(header=header))
    assert words in str(caught.value)


def test_file_that_cannot_be_read_is_one_line(tmp_path):
    """A missing file, a folder and an empty file are told under the setting's name."""
    with pytest.raises(
        DataError, match=r"data.corporate_actions: .*none.csv cannot be read: No such file or directory"
    ):
        load_actions(tmp_path / "none.csv")
    with pytest.raises(DataError, match="cannot be read: Is a directory"):
        load_actions(tmp_path)
    (tmp_path / "empty.csv").write_text("\n\n")
    with pytest.raises(DataError, match=r"empty.csv is empty; its first line must be symbol,kind,date"):
        load_actions(tmp_path / "empty.csv")


@given(st.lists(st.lists(st.text(max_size=8), max_size=9), max_size=6))
def test_any_text_is_read_or_told(rows):
    """Whatever stands in the rows, each is an action or a bad row, and nothing else is raised."""
    found = read_actions([HEADER.split(","), *rows], "file")
    assert len(found.actions) + len(found.bad_rows) == sum(any(cell.strip() for cell in row) for row in rows)


# --- The bars that they come with --------------------------------------------------------------------------------------


def daily(*closes, first="2005-02-24"):
    """Return rows of successive weekdays whose prices are these closes all day."""
    days = [date.fromordinal(date.fromisoformat(first).toordinal() + n) for n in range(3 * len(closes))]
    weekdays = [day for day in days if day.weekday() < 5]
    return [(day, close, close, close, close, 1e6) for day, close in zip(weekdays, closes, strict=False)]


def attached(feed):
    return {str(bars.time.date()): bars.actions for bars in feed if bars.actions}


def test_actions_come_with_the_first_bars_of_their_session():
    """An action in force on a day without bars comes with the next ones; each comes once, in every iteration."""
    actions = [dividend("A", "2005-02-25"), split("A", "2005-02-26"), dividend("B", "2005-02-28", "1")]
    feed = BarFeed.from_rows({"A": daily(20, 20, 10, 10), "B": daily(5, 5, 5, 5)}, actions=actions)
    expected = {"2005-02-25": (actions[0],), "2005-02-28": (actions[1], actions[2])}
    assert attached(feed) == expected
    assert attached(feed) == expected


def test_actions_come_once_a_session_of_many_bars():
    """Of a session's minutes the first has the actions."""
    rows = [
        (datetime(2005, 2, day, 15, minute, tzinfo=UTC), 10, 10, 10, 10, 100)
        for day in (24, 25)
        for minute in (30, 31, 32)
    ]
    feed = BarFeed.from_rows({"A": rows}, actions=[dividend("A", "2005-02-25")])
    assert [len(bars.actions) for bars in feed] == [0, 0, 0, 1, 0, 0]


def test_actions_before_and_after_the_data_and_of_others_are_left_out():
    """What was in force before the first session, comes after the last, or concerns another symbol, is not attached."""
    actions = [dividend("A", "2005-02-23"), dividend("A", "2005-03-02"), dividend("C", "2005-02-25")]
    feed = BarFeed.from_rows({"A": daily(20, 20, 20, 20)}, actions=actions)
    assert attached(feed) == {}
    assert feed.warnings == ()


def test_change_to_a_symbol_of_the_run_counts():
    """A symbol that only becomes one of the run's brings its change; one that leaves it is told."""
    change = CorporateAction(kind=CHANGE, symbol="FB", session=number("2005-02-25"), new_symbol="META")
    feed = BarFeed.from_rows({"META": daily(20, 20, 20)}, actions=[change])
    assert attached(feed) == {"2005-02-25": (change,)}
    assert feed.warnings == ()
    feed = BarFeed.from_rows({"FB": daily(20, 20, 20)}, actions=[change])
    assert attached(feed) == {"2005-02-25": (change,)}
    assert feed.warnings == ("FB becomes META on 2005-02-25, which has no data: it keeps its last price from then on",)


def test_file_in_the_folder_of_the_bars_is_no_bars(tmp_path):
    """A folder of bars may hold the file of corporate actions, under its usual name or the one that is given."""
    (tmp_path / "A.csv").write_text("date,open,high,low,close\n2005-02-25,20,20,20,20\n2005-02-28,10,10,10,10\n")
    (tmp_path / "corporate_actions.csv").write_text(f"{HEADER}\nA,split,2005-02-28,2,,,\n")
    assert load_bars(tmp_path).symbols == ("A",)
    (tmp_path / "corporate_actions.csv").rename(tmp_path / "splits.csv")
    feed = load_bars(tmp_path, corporate_actions=tmp_path / "splits.csv")
    assert attached(feed) == {"2005-02-28": (split("A", "2005-02-28"),)}


def test_skipped_rows_are_warnings_of_the_feed(tmp_path):
    """Bad rows of the actions that are skipped are told with the data's other warnings."""
    (tmp_path / "A.csv").write_text("date,open,high,low,close\n2005-02-25,20,20,20,20\n")
    (tmp_path / "corporate_actions.csv").write_text(f"{HEADER}\nA,split,soon,2,,,\n")
    feed = load_bars(tmp_path, corporate_actions=tmp_path / "corporate_actions.csv", bad_rows="skip")
    assert feed.warnings[0] == (
        "corporate_actions.csv line 2: date 'soon' is not a date; write it as 2005-02-28; skipped"
    )


# --- Prices that do not fit --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "after", "ratio"),
    [(100, 50.5, "2:1"), (100, 33.0, "3:1"), (99, 66.5, "3:2"), (100, 25, "4:1"), (30, 15.3, "2:1"), (5, 50.4, "1:10"), (3, 6.05, "1:2"),
     (700, 100, "7:1"), (2000, 100, "20:1")],
)  # fmt: skip
def test_split_without_its_action_is_told(before, after, ratio):
    """Prices that jump overnight by a simple ratio name the symbol, the date, the ratio and the setting that would help."""
    feed = BarFeed.from_rows({"A": daily(before, before, after, after)})
    assert feed.warnings == (
        (
            f"prices jump overnight as by a split: A on 2005-02-28 ({ratio}: {before:g} to {after:g}); if these are splits, list them in"
            " the file of data.corporate_actions, else every position jumps in value"
        ),
    )


@pytest.mark.parametrize(
    ("before", "after"), [(100, 82), (100, 75), (53.5, 28.19), (100, 45), (100, 124), (100, 58), (100, 100)]
)
def test_ordinary_bad_night_is_no_split(before, after):
    """A crash that is no simple ratio says nothing; 53.50 to 28.19 is Apple's night to 2000-09-29."""
    assert BarFeed.from_rows({"A": daily(before, before, after, after)}).warnings == ()


def test_crash_that_goes_on_is_no_split():
    """A jump by a ratio after which the session closes elsewhere is news and not arithmetic."""
    rows = daily(100, 100)
    feed = BarFeed.from_rows({"A": [*rows, (date(2005, 2, 28), 50, 66, 50, 65, 1e6)]})
    assert feed.warnings == ()


def test_jump_within_a_session_is_no_split():
    """Only the night between two sessions is looked at."""
    rows = [
        (datetime(2005, 2, 24, 15, minute, tzinfo=UTC), price, price, price, price, 1)
        for minute, price in ((30, 100), (31, 50), (32, 50))
    ]
    assert BarFeed.from_rows({"A": rows}).warnings == ()


def test_split_with_its_action_is_no_warning():
    """Where the action is listed for the night of the jump, or for a day without bars before it, all is well."""
    for day in ("2005-02-28", "2005-02-26"):
        assert BarFeed.from_rows({"A": daily(100, 100, 50.5, 50)}, actions=[split("A", day)]).warnings == ()
    assert BarFeed.from_rows({"A": daily(2, 2, 20, 20)}, actions=[split("A", "2005-02-28", "0.1")]).warnings == ()


def test_split_that_the_prices_show_already_is_told():
    """A split without a jump means adjusted prices, in which the action would be a false loss."""
    feed = BarFeed.from_rows({"A": daily(100, 100, 101, 101)}, actions=[split("A", "2005-02-28")])
    assert feed.warnings == (
        (
            "A: a split of ratio 2 on 2005-02-28, but prices go from 100 to 101: they look adjusted for it; use unadjusted prices,"
            " or leave the split out of data.corporate_actions"
        ),
    )


def test_split_of_the_wrong_way_round_is_told():
    """A ratio upside down fits neither what the prices did nor adjusted ones."""
    (warning,) = BarFeed.from_rows({"A": daily(100, 100, 50, 50)}, actions=[split("A", "2005-02-28", "0.5")]).warnings
    assert warning.startswith("A: a split of ratio 0.5 on 2005-02-28, but prices go from 100 to 50: that fits neither")


def test_small_split_is_not_judged():
    """A stock dividend of 5 % is less than a day's news."""
    assert (
        BarFeed.from_rows({"A": daily(100, 100, 100, 100)}, actions=[split("A", "2005-02-28", "1.05")]).warnings == ()
    )
