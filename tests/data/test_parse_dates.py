"""Dates and times in text: what Python formats is read back, pandas reads the same, and other text is left alone."""

import datetime
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exp.data.columns.date import DateColumn
from exp.data.columns.date_formats import DECLARED, DESCRIBED, FORMATS, SEASON, TIME, read_day
from exp.data.columns.parse_dates import parse_dates, parse_mostly_dates, read_dates

EPOCH = datetime.datetime(1970, 1, 1)
OPTIONS = {"missing": "auto", "day_first": None, "is_declared": False}


def cells(*words: str | None) -> Any:
    return pd.Series([np.nan if word is None else word for word in words], dtype="str")


def days(*times: datetime.datetime) -> list[float]:
    return [(time - EPOCH) / datetime.timedelta(days=1) for time in times]


def day(text: str) -> float:
    return days(datetime.datetime.fromisoformat(text))[0]


@pytest.mark.parametrize(
    ("words", "form", "expected"),
    [
        ("2024-05-01|2024-5-2", "yyyy-mm-dd", ["2024-05-01", "2024-05-02"]),
        ("2024/05/01 10:30|2024/06/01", "yyyy-mm-dd", ["2024-05-01 10:30", "2024-06-01"]),
        ("2024-05-31T22:00:00Z", "yyyy-mm-dd", ["2024-05-31 22:00"]),
        ("2024-05-31T22:00:00.5+02:00", "yyyy-mm-dd", ["2024-05-31 20:00:00.500"]),
        ("2024-05-31 23:00-0130", "yyyy-mm-dd", ["2024-06-01 00:30"]),
        ("2024-05-31 24:00", "yyyy-mm-dd", ["2024-06-01"]),
        ("10.05.2024|4.5.2024", "dd/mm/yyyy", ["2024-05-10", "2024-05-04"]),
        ("05.24.2024|05.04.2024", "mm/dd/yyyy", ["2024-05-24", "2024-05-04"]),
        ("05/24/2024 04:00 AM|5/25/2024 12:00 pm", "mm/dd/yyyy", ["2024-05-24 04:00", "2024-05-25 12:00"]),
        ("25/12/2024|1/2/2024", "dd/mm/yyyy", ["2024-12-25", "2024-02-01"]),
        ("25/12/24|1/2/99", "dd/mm/yy", ["2024-12-25", "1999-02-01"]),
        ("05.04.24|31.12.23", "dd.mm.yy", ["2024-04-05", "2023-12-31"]),
        ("May 26, 2024|June 1st, 2024", "month d, yyyy", ["2024-05-26", "2024-06-01"]),
        ("26 May 2024|1 Sept 2024", "d month yyyy", ["2024-05-26", "2024-09-01"]),
        ("26-May-2024|1-Sep-24", "d month yyyy", ["2024-05-26", "2024-09-01"]),
        ("Mon, 27 May 2024 10:00:00 +0200", "d month yyyy", ["2024-05-27 08:00"]),
        ("2024-May-26", "yyyy month d", ["2024-05-26"]),
        ("Wed Aug 27 13:08:45 +0000 2008", "month d hh:mm yyyy", ["2008-08-27 13:08:45"]),
        ("2024-06|2023-12", "yyyy-mm", ["2024-06-01", "2023-12-01"]),
        ("6/2024", "mm/yyyy", ["2024-06-01"]),
        ("May 2024|Jun-23", "month yyyy", ["2024-05-01", "2023-06-01"]),
        ("2024 Jan|2023 December|1948-Feb.", "yyyy month", ["2024-01-01", "2023-12-01", "1948-02-01"]),
        ("1960M1|2024m12", "yyyyMm", ["1960-01-01", "2024-12-01"]),
        ("2024-W01|2020W53|2024 w9|2024-W09-7", "yyyy-Www", ["2024-01-01", "2020-12-28", "2024-02-26", "2024-03-03"]),
        ("2010-11|1999-00|1999/2000|1950\u201351", "yyyy-yy", ["2010-01-01", "1999-01-01", "1999-01-01", "1950-01-01"]),
        ("2024Q1|2024-Q4", "yyyyQq", ["2024-01-01", "2024-10-01"]),
        ("Q3 2024", "Qq yyyy", ["2024-07-01"]),
        ("09:00|9:00 PM|23:59:59", "time", ["1970-01-01 09:00", "1970-01-01 21:00", "1970-01-01 23:59:59"]),
    ],
)
def test_a_format_of_dates(words: str, form: str, expected: list[str]):
    dates = parse_dates("x", cells(*words.split("|"), None))
    assert dates is not None
    assert dates.format == form
    assert dates.kind == ("time" if form == "time" else "date")
    assert dates.values[:-1].tolist() == [day(text) for text in expected]
    assert np.isnan(dates.values[-1])
    again, is_wrong = read_dates(cells(*words.split("|")), form)
    assert np.array_equal(again, dates.values[:-1])
    assert not is_wrong.any()


@pytest.mark.parametrize(
    "words",
    [
        *("a|b", "", "?|-", "1|2", "1.2.3|1.3.4", "1.2.13|1.3.14", "555-1234", "12-34-5678", "10-11-12", "1/2|3/4"),
        *(
            "2024-13-01",
            "2024-02-30",
            "31.04.2024",
            "25:00",
            "12:60",
            "13:00 PM",
            "0:30 am",
            "2024-05-01|x",
            "May|June",
        ),
        *("2010-13|2011-12", "2023-24", "2024-W54", "2024M13", "2024 Foo"),
        *("20240501|20240502", "2024|2023", "2024.05", "192.168.1.100", "00:11:22:33", "99/99/9999"),
        *("2024-05-01T", "2024-05-01 x", "3 Foo 2024", "Q5 2024", "12,5", "5 May", "1999-00|2000-02"),
    ],
)
def test_what_is_not_a_column_of_dates(words: str):
    assert parse_dates("x", cells(*words.split("|"))) is None


def test_a_few_words_among_dates_are_missing_with_a_note():
    """A line of totals or a word for no date would otherwise make names of all dates, which are left out."""
    dates = [f"{1 + row % 28:02}.{1 + row % 12:02}.2024" for row in range(30)]
    options = {"missing": "auto", "day_first": None, "is_declared": False}
    parsed = DateColumn.parse("when", cells(*dates, "Total", None), options)
    assert parsed is not None
    whole = parse_dates("when", cells(*dates))
    assert whole is not None
    assert np.array_equal(parsed.values, [*whole.values, np.nan, np.nan], equal_nan=True)
    (note,) = parsed.notes
    assert note.startswith("column 'when': 1 cell is not a date and read as empty, the first in row 31: 'Total'; for")
    assert parse_mostly_dates("when", cells(*dates, *["never"] * 20), None) is not None
    for words in (
        [*dates, *["never"] * 31],
        [*dates, "a", "b", "c", "d"],
        [*(f"{row % 12 + 1}.{row % 28 + 1}.10" for row in range(30)), "1.2.3"],  # versions
        ["2024-01-05", "x"],
        ["May", "June", "July"],
    ):
        assert parse_mostly_dates("when", cells(*words), None) is None


def test_what_was_decided_is_in_notes():
    ambiguous = cells("1/5/2024", "2/6/2024", "?")
    dates = parse_dates("x", ambiguous)
    assert dates is not None
    assert dates.values[:2].tolist() == [day("2024-01-05"), day("2024-02-06")]
    assert dates.notes == (
        "column 'x': read as empty cells: '?' (1)",
        "column 'x': '1/5/2024' is read as month/day/year; the other way: dataset.day_first=true",
    )
    for day_first, first in ((True, "2024-05-01"), (False, "2024-01-05")):
        declared = parse_dates("x", ambiguous, day_first=day_first)
        assert declared is not None
        assert declared.values[0] == day(first)
        assert len(declared.notes) == 1
    same = parse_dates("x", cells("5/5/2024"))
    assert same is not None
    assert same.notes == ()
    short = parse_dates("x", cells("25/12/24"))
    assert short is not None
    assert short.notes == ("column 'x': years of two digits are read as 1969 to 2068",)
    zero = parse_dates("x", cells("0000-00-00", "2024-05-01"))
    assert zero is not None
    assert np.isnan(zero.values[0])


def test_numbers_are_dates_only_if_declared():
    for column in (pd.Series([20240501, 20240502]), pd.Series([20240501.0, np.nan]), cells("20240501", "?")):
        assert parse_dates("x", column) is None
        dates = parse_dates("x", column, is_declared=True)
        assert dates is not None
        assert dates.values[0] == day("2024-05-01")
        assert dates.format == "yyyymmdd"
    years = parse_dates("x", pd.Series([2024, 1999]), is_declared=True)
    assert years is not None
    assert years.values.tolist() == [day("2024-01-01"), day("1999-01-01")]
    for column in (pd.Series([20240501, 12345678]), pd.Series([1.5]), pd.Series([True, False])):
        assert parse_dates("x", column, is_declared=True) is None


def days_of_2024(count: int) -> pd.Series:
    return pd.Series(pd.date_range("2024-01-25", periods=count).strftime("%Y%m%d").astype(int))


@pytest.mark.parametrize("spelling", [int, float, str])
def test_many_numbers_that_are_all_days_are_dates(spelling: type):
    column = pd.Series([spelling(number) for number in days_of_2024(20)] + ["?" if spelling is str else None])
    read = DateColumn.parse("when", column, OPTIONS)
    assert read is not None
    assert isinstance(read.column, DateColumn)
    assert read.column.format == "yyyymmdd"
    assert read.values[:2].tolist() == [day("2024-01-25"), day("2024-01-26")]
    assert np.isnan(read.values[-1])
    assert read.notes[-1] == (
        "column 'when': 20240125 is read as year, month and day; for numbers: 'dataset.kinds={when: number}'"
    )


@pytest.mark.parametrize(
    "numbers",
    [
        [*days_of_2024(20), 20240230],  # no such day
        [*days_of_2024(5)] * 4,  # too few different ones to be sure
        list(range(20240101, 20240141)),  # numbered in sequence
        [*days_of_2024(20), 20240501.5],
        list(range(1980, 2020)),
    ],
)
def test_numbers_that_may_be_no_days_are_numbers(numbers: list[float]):
    assert DateColumn.parse("x", pd.Series(numbers), OPTIONS) is None


def test_columns_of_times():
    times = pd.Series(pd.to_datetime(["2024-05-01 12:00", None]))
    dates = parse_dates("x", times)
    assert dates is not None
    assert dates.values[0] == day("2024-05-01 12:00")
    assert np.isnan(dates.values[1])
    zone = parse_dates("x", times.dt.tz_localize("Europe/Vienna"))
    assert zone is not None
    assert zone.values[0] == day("2024-05-01 10:00")
    for form in FORMATS:
        assert read_dates(times, form)[0][0] == day("2024-05-01 12:00")
    assert read_dates(cells("2024-05-01"), "datetime")[0].tolist() == [day("2024-05-01")]


def test_new_rows_are_read_in_the_format_of_the_column():
    values, is_wrong = read_dates(cells("1/2/2024", "x", "?"), "dd/mm/yyyy")
    assert values[0] == day("2024-02-01")
    assert is_wrong.tolist() == [False, True, False]
    assert read_dates(cells("1/2/2024"), "mm/dd/yyyy")[0].tolist() == [day("2024-01-02")]
    assert read_dates(cells("2024-02-01"), "dd/mm/yyyy")[0].tolist() == [day("2024-02-01")]
    assert read_dates(cells("1/2/24"), "dd/mm/yyyy")[0].tolist() == [day("2024-02-01")]
    assert read_dates(pd.Series([20240501]), "yyyymmdd")[0].tolist() == [day("2024-05-01")]
    assert read_dates(cells("09:00"), "yyyy-mm-dd")[1].tolist() == [True]
    assert read_dates(cells("?", None), "yyyy-mm-dd")[1].tolist() == [False, False]


@pytest.mark.parametrize(
    ("word", "form", "expected"),
    [
        ("13.05.2024", "yyyy-mm-dd", "2024-05-13"),
        ("05/13/2024", "yyyy-mm-dd", "2024-05-13"),
        ("1 May 2024", "yyyy-mm-dd", "2024-05-01"),
        ("01.05.2024", "yyyy-mm-dd", "2024-05-01"),  # as in a column of its own: with dots the day is the first
        ("01.05.2024", "datetime", "2024-05-01"),
        ("01/05/2024", "yyyy-mm-dd", None),  # in January or in May
        ("01/05/2024", "datetime", None),
        ("01/05/24", "dd/mm/yyyy", "2024-05-01"),
        ("01/05/24", "mm/dd/yyyy", "2024-01-05"),
        ("13/05/2024", "mm/dd/yyyy", "2024-05-13"),
    ],
)
def test_a_new_date_in_another_format_is_read_if_it_has_one_meaning(word: str, form: str, expected: str | None):
    """Alone and next to any others: what is predicted for a row does not depend on other rows."""
    for others in ((), ("2024-05-01",), ("31/12/2023",), ("12/31/2023",), ("x",)):
        values, is_wrong = read_dates(cells(word, *others), form)
        assert is_wrong[0] == (expected is None)
        assert np.isnan(values[0]) if expected is None else values[0] == day(expected)


WRITTEN = ["%Y-%m-%d", "%Y/%m/%d", "%d.%m.%Y", "%m/%d/%Y", "%d/%m/%Y", "%d %b %Y", "%d-%b-%Y", "%B %d, %Y", "%d.%m.%y"]
CLOCKS = ["", " %H:%M", " %H:%M:%S", "T%H:%M:%S.%f", " %I:%M:%S %p"]


def check_round_trip(times: list[datetime.datetime], written: str, clock: str) -> None:
    form = written + clock
    words = [time.strftime(form) for time in times]
    known = [datetime.datetime.strptime(word, form) for word in words]
    dates = parse_dates("x", cells(*words), day_first=None if "." in written else written.startswith("%d/"))
    assert dates is not None
    assert np.allclose(dates.values, days(*known), rtol=0, atol=1e-10)
    from_pandas = (pd.to_datetime(pd.Series(words), format=form) - pd.Timestamp(0)) / pd.Timedelta(days=1)
    assert np.allclose(dates.values, from_pandas, rtol=0, atol=1e-10)


TIMES = st.lists(st.datetimes(datetime.datetime(1970, 1, 1), datetime.datetime(2068, 1, 1)), min_size=1, max_size=6)


@settings(max_examples=80)
@given(times=TIMES, written=st.sampled_from(WRITTEN), clock=st.sampled_from(CLOCKS))
def test_dates_that_python_writes_are_read_back(times: list[datetime.datetime], written: str, clock: str):
    check_round_trip(times, written, clock)


@pytest.mark.slow
@settings(max_examples=800)
@given(times=TIMES, written=st.sampled_from(WRITTEN), clock=st.sampled_from(CLOCKS))
def test_dates_that_python_writes_are_read_back_in_2000_examples(
    times: list[datetime.datetime], written: str, clock: str
):
    check_round_trip(times, written, clock)


@settings(max_examples=70)
@given(words=st.lists(st.one_of(st.text(max_size=12), st.text("0123456789-/.:TZ ", max_size=12)), max_size=5))
def test_any_text_is_read_or_left_alone(words: list[str]):
    for is_declared in (False, True):
        dates = parse_dates("x", cells(*words), is_declared=is_declared)
        if dates is not None:
            assert np.array_equal(read_dates(cells(*words), dates.format)[0], dates.values, equal_nan=True)
    for form in (*FORMATS, *DECLARED):
        read_dates(cells(*words), form)


def test_the_description_of_a_format_has_an_example_in_it():
    assert set(DESCRIBED) == {*FORMATS, *DECLARED, SEASON}
    firsts = {"yyyy-mm": "2024-12-01", "mm/yyyy": "2024-12-01", "month yyyy": "2024-12-01", "yyyy": "2024-01-01"}
    firsts |= {"yyyy month": "2024-12-01", "yyyyMm": "2024-12-01", "yyyy-Www": "2024-12-29", "yyyy-yy": "2024-01-01"}
    firsts |= {"yyyyQq": "2024-10-01", "Qq yyyy": "2024-10-01", "month d hh:mm yyyy": "2024-12-31T23:59"}
    for form, described in DESCRIBED.items():
        example = described.partition("such as ")[2]
        expected = (23 * 60 + 59) / 1440 if form == TIME else day(firsts.get(form, "2024-12-31"))
        assert read_day(example, form) == pytest.approx(expected, abs=1e-9), form


def test_a_month_among_years_is_no_date_in_new_rows_either():
    words = [*(f"{year}-{(year + 1) % 100:02}" for year in range(1990, 2010)), "1999-01"]
    parsed = DateColumn.parse("when", cells(*words), {"missing": "auto", "day_first": None, "is_declared": False})
    assert parsed is not None
    values, is_wrong = read_dates(cells(*words), parsed.column.format)
    assert np.array_equal(values, parsed.values, equal_nan=True)
    assert is_wrong.tolist() == [False] * 20 + [True]
