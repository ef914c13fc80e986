"""What meters, markets, databases and loggers write around a table: read past it, or refused in one line."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import numpy as np
import pytest

from tests.series.reading import check_read, check_refused, read_columns
from vitime_cache.series.spans import UNITS

N = 60
V = [round(float(v), 2) for v in 20 + 5 * np.sin(np.arange(N) * np.pi / 6) + np.random.default_rng(7).normal(size=N)]
W = [round(v / 3 + (i % 7) / 10, 2) for i, v in enumerate(V)]
HOURS = [datetime(2021, 3, 5) + timedelta(hours=i) for i in range(N)]
DAYS = [datetime(2021, 3, 5) + timedelta(days=i) for i in range(N)]
MONTHS = [datetime(2015 + i // 12, i % 12 + 1, 1) for i in range(N)]
HOUR, DAY, MONTH = UNITS["hour"], UNITS["day"], UNITS["month"]
ONE = {"v": V}
US = "%m/%d/%Y %I:%M:%S %p"


def table(head: str, times: list[datetime], row: Callable[[int, datetime], str], end: str = "\n") -> str:
    return end.join([*filter(None, [head]), *(row(i, time) for i, time in enumerate(times))]) + end


def day(i: int, time: datetime) -> str:
    return f"{time:%Y-%m-%d},{V[i]}"


def german(value: float) -> str:
    return str(value).replace(".", ",")


READ = {
    "a station that stands in every row": (
        table("", DAYS, lambda i, t: f"USW1,{t:%Y%m%d},TMAX,{int(10 * V[i])},,,W,"),
        {"f_4": [int(10 * v) for v in V]},
        DAY,
    ),
    "a year for each column": (table("2019,2020", DAYS, lambda i, _: f"{V[i]},{W[i]}"), {"2019": V, "2020": W}, 0),
    "years behind an index": (
        table(",2020,2019", DAYS, lambda i, _: f"{i},{V[i]},{W[i]}"), {"2020": V, "2019": W}, 0),
    "columns that are only numbered": (table("0,1", DAYS, lambda i, _: f"{V[i]},{W[i]}"), {"0": V, "1": W}, 0),
    "names that end in an underscore": (
        table("date_;YEAR_;MONTH_;v", MONTHS, lambda i, t: f"{t:%b %Y};{t.year};{t.month};{V[i]}"),
        ONE,
        MONTH,
    ),
    "a table of psql": (
        table(" date | v \n-------+------", DAYS, lambda i, t: f" {t:%Y-%m-%d} | {V[i]:6}") + "(60 rows)\n\n",
        ONE,
        DAY,
    ),
    "a table of MySQL": (
        "+------+---+\n| date | v |\n+------+---+\n"
        + table("", DAYS, lambda i, t: f"| {t:%Y-%m-%d} | {V[i]} |")
        + "+------+---+\n",
        ONE,
        DAY,
    ),
    "a table in Markdown": (table("| date | v |\n|---|:--:|", DAYS, lambda i, t: f"| {t} | {V[i]} |"), ONE, DAY),
    "lines that end twice": (table("date,v", DAYS, day, "\n\n"), ONE, DAY),
    "lines that end with \\r\\r\\n": (table("date,v", DAYS, day, "\r\r\n"), ONE, DAY),
    "names of columns once more": (table("date,v", DAYS[:30], day) + "date,v\n" + "".join(
        f"{day(i, t)}\n" for i, t in enumerate(DAYS) if i >= 30), ONE, DAY),
    "a separator behind each row alone": (table("date,v", DAYS, lambda i, t: f"{day(i, t)},"), ONE, DAY),
    "a blank before each quote": (table('"date", "v"', DAYS, lambda i, t: f'"{t}", "{V[i]}"'), ONE, DAY),
    "a clock with a point": (
        table("Datum;Zeit;v", HOURS, lambda i, t: f"{t:%d.%m.%Y;%H.%M};{german(V[i])}"),
        ONE,
        HOUR,
    ),
    "a date and a clock with points": (table("time;v", HOURS, lambda i, t: f"{t:%d.%m.%Y %H.%M};{V[i]}"), ONE, HOUR),
    "milliseconds behind a comma": (table("time;v", HOURS, lambda i, t: f"{t},000;{V[i]}"), ONE, HOUR),
    "a clock with an h": (table("date,heure,v", HOURS, lambda i, t: f"{t:%Y-%m-%d},{t:%H}h{t:%M},{V[i]}"), ONE, HOUR),
    "an AM among blanks": (table("", HOURS, lambda i, t: f"{t:%Y-%m-%d %I:%M:%S %p} {V[i]}"), {"f_2": V}, HOUR),
    "products by the numbers of store and item": (
        "id,date,store_nbr,item_nbr,sales\n"
        + "".join(f"{i},{t:%Y-%m-%d},{store},7,{x[i]}\n" for store, x in ((1, V), (2, W)) for i, t in enumerate(DAYS)),
        {"1": V, "2": W},
        DAY,
    ),
    "hours in two zones, the month in front": (
        table("utc,local,v", HOURS, lambda i, t: f"{t:{US}},{t - timedelta(hours=5):{US}},{V[i]}"),
        ONE,
        HOUR,
    ),
    "the begin and the end of each hour, its day and its number": (
        table("BEGIN_GMT,END_GMT,OPR_DT,OPR_HR,v", HOURS, lambda i, t:
            f"{t.isoformat()}-00:00,{(t + timedelta(hours=1)).isoformat()}-00:00,{t:%Y-%m-%d},{t.hour + 1},{V[i]}"),
        ONE,
        HOUR,
    ),
    "weekdays and months beside days": (
        table("date,DayOfWeek,v", DAYS, lambda i, t: f"{t:%Y-%m-%d},{t.isoweekday()},{V[i]}"), ONE, DAY),
}  # fmt: skip


@pytest.mark.parametrize("kind", READ)
def test_what_a_program_writes_around_a_table_is_read_past(kind):
    check_read(*READ[kind])


REFUSED = {
    "a month in each column, without names": (
        "".join(f"{1950 + i} " + " ".join(str(w) for w in W[i : i + 12]) + "\n" for i in range(40)),
        "column for each month.*--no-rows",
    ),
    "numbers of a station beside a value with its quality": (
        table("STATION,SOURCE,DATE,TMP", HOURS, lambda i, t: f'"725053",4,{t.isoformat()},"+{int(10 * V[i]):04},1"'),
        "STATION, SOURCE, never change, and TMP hold no numbers; choose with columns=",
    ),
    "nothing but marks": (table("date,v", DAYS, lambda _, t: f"{t:%Y-%m-%d},NaN"), "all 60 values are missing$"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_would_be_misread_is_refused_in_one_line(kind):
    check_refused(*REFUSED[kind])


def test_names_that_stand_among_the_rows_are_told():
    notes: list[str] = []
    text = table("date,v", DAYS[:30], day) + table("date,v", DAYS[30:], day)
    assert len(read_columns("f.csv", text.encode(), notes=notes)[0].values) == N
    assert notes == ["f.csv, row 32: left out, it names the columns again"]


def test_utf_16_is_read_without_its_mark_too():
    [column] = read_columns("f.csv", table("date,v", DAYS, day).encode("utf-16-le"))
    assert column.values.tolist() == V


@pytest.mark.parametrize("first", ["1945-01-01", "1968-12-25", "1999-12-25", "2044-10-01"])
def test_two_digits_of_a_year_lie_between_1945_and_2044(first):
    times = (np.datetime64(first) + np.arange(N).astype("m8[D]")).astype(datetime)
    [column] = read_columns(
        "f.csv", table("date,v", times, lambda i, t: f"{t:%d.%m.%y};{V[i]}".replace(";", ",")).encode()
    )
    assert (column.start, column.sample_seconds) == (f"{first}T00:00:00", DAY)


def test_years_in_front_of_a_table_without_names_are_its_time():
    columns = read_columns("f.txt", table("", DAYS, lambda i, _: f"{1950 + i}  {V[i]}").encode())
    assert [(column.values.tolist(), column.sample_seconds) for column in columns] == [(V, UNITS["year"])]
