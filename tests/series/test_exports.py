"""Tables as programs and agencies export them: read back as they were written, or refused in one line."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from tests.series.reading import check_read, check_refused, read_columns
from vitime_cache.series.bounds import SignalError
from vitime_cache.series.spans import UNITS

N = 60
V = [round(float(v), 2) for v in 20 + 5 * np.sin(np.arange(N) * np.pi / 6) + np.random.default_rng(5).normal(size=N)]
W = [round(2 * v + (i % 7) / 10, 2) for i, v in enumerate(V)]
HOURS = [datetime(2020, 1, 14) + timedelta(hours=i) for i in range(N)]
DAYS = [datetime(2020, 1, 14) + timedelta(days=i) for i in range(N)]
MONTHS = [datetime(2015 + i // 12, i % 12 + 1, 1) for i in range(N)]
HALVES = [datetime(2020, 1, 14) + timedelta(minutes=30 * i) for i in range(N)]
WEEKS = [datetime(2020, 1, 6) + timedelta(weeks=i) for i in range(N)]
HOUR, DAY, MONTH = UNITS["hour"], UNITS["day"], UNITS["month"]
GERMAN = ["Januar", "Februar", "März", "April", "Mai", "Juni", "Juli", "August", "September"]
GERMAN += ["Oktober", "November", "Dezember"]
EPOCH, HOUR_MS = 1_578_960_000_000, 3_600_000
ONE, TWO = {"v": V}, {"v": V, "w": W}


def table(head: str, times: list[datetime], row: Callable[[int, datetime], str]) -> str:
    return "\n".join([head, *(row(i, time) for i, time in enumerate(times))]) + "\n"


READ = {
    "a series of pandas without a name": (pd.Series(V, HOURS).to_csv(), {"0": V}, HOUR),
    "a frame of pandas without names": (pd.DataFrame({0: V, 1: W}).to_csv(), {"0": V, "1": W}, 0),
    "a time series of R": (
        table('"","time","v"', MONTHS, lambda i, _: f'"{i + 1}",{1949 + i / 12:.10g},{V[i]}'),
        ONE,
        MONTH,
    ),
    "decimal dates": (table("decimal_date,v", MONTHS, lambda i, _: f"{1960 + (i + 0.5) / 12:.4f},{V[i]}"), ONE, MONTH),
    "quarters of Stata": (table("tq,v", MONTHS, lambda i, _: f"{2000 + i // 4}q{i % 4 + 1},{V[i]}"), ONE, 3 * MONTH),
    "days of Stata": (table("date,v", DAYS, lambda i, t: f"{t:%d%b%Y},{V[i]}".lower()), ONE, DAY),
    "clocks of Stata": (table("t,v", HOURS, lambda i, t: f"{t:%d%b%Y %H:%M:%S},{V[i]}".lower()), ONE, HOUR),
    "clocks of SAS": (
        table("date,v", HOURS, lambda i, t: f"{t:%d%b%Y:%H:%M:%S},{V[i]}".upper().replace("V", "v")),
        ONE,
        HOUR,
    ),
    "days of SAS": (table("date,v", DAYS, lambda i, t: f"{t:%d%b%y}".upper() + f",{V[i]}"), ONE, DAY),
    "months of SAS": (table("date,v", MONTHS, lambda i, t: f"{t:%b%Y}".upper() + f",{V[i]}"), ONE, MONTH),
    "ctime": (table("when,v", HOURS, lambda i, t: f"{t:%a %b %d %H:%M:%S %Y},{V[i]}"), ONE, HOUR),
    "hours that end with 24:00": (
        table("Hour Ending,v", HOURS, lambda i, t: f"{t:%m/%d/%Y} {t.hour + 1:02}:00,{V[i]}"),
        ONE,
        HOUR,
    ),
    "hours from, to": (
        table(";Hours;v;w", HOURS, lambda i, t: f"{t:%d-%m-%Y};{t:%H} - {t + timedelta(hours=1):%H};{V[i]};{W[i]}"),
        TWO,
        HOUR,
    ),
    "half-hours by number": (
        table("SETTLEMENT_DATE,SETTLEMENT_PERIOD,v", HALVES, lambda i, t: f"{t:%d-%b-%Y},{i % 48 + 1},{V[i]}"),
        ONE,
        1800,
    ),
    "names in angle brackets": (
        table("<TICKER>,<PER>,<DATE>,<TIME>,v,w", HOURS, lambda i, t: f"X,60,{t:%Y%m%d},{t:%H%M%S},{V[i]},{W[i]}"),
        TWO,
        HOUR,
    ),
    "periods of a year": (
        table("Series ID,Year,Period,v", MONTHS, lambda i, t: f"CU0,{t.year},M{t.month:02},{V[i]}"),
        ONE,
        MONTH,
    ),
    "a label of year and month": (
        table("Year,Period,Label,v", MONTHS, lambda i, t: f"{t.year},M{t.month:02},{t:%Y %b},{V[i]}"),
        ONE,
        MONTH,
    ),
    "German months": (
        table("Jahr;Monat;v", MONTHS, lambda i, t: f"{t.year};{GERMAN[t.month - 1]};{str(V[i]).replace('.', ',')}"),
        ONE,
        MONTH,
    ),
    "YR MON": (table(" YR   MON  v  w", MONTHS, lambda i, t: f"{t.year}  {t.month:2}  {V[i]}  {W[i]}"), TWO, MONTH),
    "YEAR MO DY HR": (
        table("YEAR,MO,DY,HR,v", HOURS, lambda i, t: f"{t.year},{t.month},{t.day},{t.hour},{V[i]}"),
        ONE,
        HOUR,
    ),
    "years and months without names": (
        "".join(f"{t.year};{t.month:02};{t.year + (t.month - 0.5) / 12:.3f};{V[i]};1\n" for i, t in enumerate(MONTHS)),
        {"f_4": V},
        MONTH,
    ),
    "yyyymm under another name": (table("period,v", MONTHS, lambda i, t: f"{t:%Y%m},{V[i]}"), ONE, MONTH),
    "seconds since 1970 beside a date": (
        table("unix,date,v", HOURS, lambda i, t: f"{1578960000 + 3600 * i},{t},{V[i]}"),
        ONE,
        HOUR,
    ),
    "the end of each candle": (
        table(
            "open_time,v,close_time",
            HOURS,
            lambda i, _: f"{EPOCH + HOUR_MS * i},{V[i]},{EPOCH + HOUR_MS * (i + 1) - 1}",
        ),
        ONE,
        HOUR,
    ),
    "a place in columns of numbers": (
        table('"STATION","LATITUDE","DATE","v","w"', DAYS, lambda i, t: f'"725","40.7","{t:%F}","{V[i]}","{W[i]}"'),
        TWO,
        DAY,
    ),
    "numbers of each place beside its name": (
        table("t,Name,PTID,Load", HOURS + HOURS, lambda i, t: f"{t},{'vw'[i // N]},{61757 + i // N},{(V + W)[i]}"),
        TWO,
        HOUR,
    ),
    "stores by number": (
        table(
            "Store,DayOfWeek,Date,Sales",
            [t for t in DAYS for _ in "vw"],
            lambda i, t: f"{i % 2 + 1},5,{t:%Y-%m-%d},{(V, W)[i % 2][i // 2]}",
        ),
        {"1": V, "2": W},
        DAY,
    ),
    "thousands in quotes": (
        table("Day,v", DAYS, lambda i, t: f'{t.month}/{t.day}/{t:%y},"{int(100 * V[i]):,}"'),
        {"v": [int(100 * v) for v in V]},
        DAY,
    ),
    "some thousands in quotes": (
        table("Day,v", DAYS, lambda i, t: f'{t:%Y-%m-%d},"{int(40 * V[i]):,}"'),
        {"v": [int(40 * v) for v in V]},
        DAY,
    ),
    "blocks of InfluxDB": (
        "".join(
            table(
                "#datatype,string,double,string\n#group,false,false,true\n,t,_value,_field",
                HOURS,
                lambda i, t, at=at: f",{t},{(V, W)[at][i]},{'vw'[at]}",
            )
            + "\n"
            for at in (0, 1)
        ),
        TWO,
        HOUR,
    ),
    "a source below": (
        table("Date,v", MONTHS, lambda i, t: f"{t:%m/%d/%Y},{V[i]}") + "\nSource: Bureau of X\nNote: provisional\n",
        ONE,
        MONTH,
    ),
    "a mark of the end": (table("Date,v", DAYS, lambda i, t: f"{t:%F},{V[i]}") + "END\n", ONE, DAY),
    "a frame of MySQL": (
        "+----+----+\n| t | v |\n+----+----+\n"
        + "".join(f"| {t} | {V[i]} |\n" for i, t in enumerate(HOURS))
        + "+----+----+\n60 rows in set (0.00 sec)\n",
        ONE,
        HOUR,
    ),
    "facts of a station above": (
        "Station;10384\nLatitude;52,5\nLongitude;13,4\n\n"
        + table("Date;v", HOURS, lambda i, t: f"{t};{str(V[i]).replace('.', ',')}"),
        ONE,
        HOUR,
    ),
    "units and a blank line": (table("Time (s),v\n(ms),(V)\n", HOURS, lambda i, _: f"{30 * i},{V[i]}"), ONE, 30),
    "names of rows of R": (table('"t","v"', HOURS, lambda i, t: f'"{i + 1}","{t}",{V[i]}'), ONE, HOUR),
    "quarters beside a year": (
        table("Year,Quarter,v", MONTHS, lambda i, _: f"{2000 + i // 4},Q{i % 4 + 1},{V[i]}"),
        ONE,
        3 * MONTH,
    ),
    "halves of a year": (
        table("period,v", MONTHS, lambda i, _: f"{1970 + i // 2}-H{i % 2 + 1},{V[i]}"),
        ONE,
        6 * MONTH,
    ),
    "weeks of a year": (
        table("Jahr;KW;v", MONTHS, lambda i, _: "{0[0]};{0[1]};{1}".format(WEEKS[i].isocalendar(), V[i])),
        ONE,
        7 * DAY,
    ),
    "weeks in six digits": (
        table("yearweek,v", MONTHS, lambda i, _: "{0[0]}{0[1]:02},{1}".format(WEEKS[i].isocalendar(), V[i])),
        ONE,
        7 * DAY,
    ),
    "weeks before years": (
        table("Week,v", MONTHS, lambda i, _: "W{0[1]:02} {0[0]},{1}".format(WEEKS[i].isocalendar(), V[i])),
        ONE,
        7 * DAY,
    ),
    "days of the year": (table("date,v", DAYS, lambda i, t: f"{t:%Y%j},{V[i]}"), ONE, DAY),
    "days of the year apart": (table("date,v", DAYS, lambda i, t: f"{t:%Y-%j},{V[i]}"), ONE, DAY),
    "days of Matlab": (
        table("datenum,v", HOURS, lambda i, t: f"{t.toordinal() + 366 + t.hour / 24:.6f},{V[i]}"),
        ONE,
        HOUR,
    ),
    "seven digits that are no day": (table("date,v", DAYS, lambda i, _: f"{1000001 + i},{V[i]}"), ONE, 0),
    "Julian days": (table("JD,v", DAYS, lambda i, _: f"{2459218.5 + i},{V[i]}"), ONE, DAY),
    "hours since 1900": (table("hours since 1900-01-01,v", HOURS, lambda i, _: f"{1060000 + i},{V[i]}"), ONE, HOUR),
    "Italian dates": (table("anno;mese;giorno;v", DAYS, lambda i, t: f"{t.year};{t.month};{t.day};{V[i]}"), ONE, DAY),
    "a zone behind the offset": (
        table("t,v", HOURS, lambda i, t: f"{t.isoformat()}+01:00[Europe/Berlin],{V[i]}"),
        ONE,
        HOUR,
    ),
    "hours of Spain": (
        table("t;v", HOURS, lambda i, t: f"{t:%d/%m/%Y %I:%M} {'ap'[t.hour > 11]}. m.;{V[i]}"),
        ONE,
        HOUR,
    ),
    "more than a hundred hours": (table("elapsed,v", HOURS, lambda i, _: f"{60 + i}:00:00,{V[i]}"), ONE, HOUR),
    "the hour that ends": (
        table("Date,HE,v", HOURS, lambda i, t: f"{t:%Y-%m-%d},{t.hour + 1},{V[i]}"),
        ONE,
        HOUR,
    ),
    "hours of work beside days": (
        table("date,hours,w", DAYS, lambda i, t: f"{t:%Y-%m-%d},{V[i] / 4},{W[i]}"),
        {"hours": [v / 4 for v in V], "w": W},
        DAY,
    ),
    "a number called item": (
        table("date,item", DAYS, lambda i, t: f"{t:%Y-%m-%d},{int(V[i])}"),
        {"item": [int(v) for v in V]},
        DAY,
    ),
    "stations one after another": (
        table(
            "sensor,t,v",
            HOURS[:30] + [t + timedelta(days=9) for t in HOURS[:30]],
            lambda i, t: f"{'ab'[i // 30]},{t},{V[i]}",
        ),
        {"a": V[:30], "b": V[30:]},
        HOUR,
    ),
    "a store and a department": (
        table(
            "Store,Dept,Date,v",
            [t for t in DAYS for _ in "abcd"],
            lambda i, t: f"{i % 4 // 2 + 1},{i % 2 + 1},{t:%Y-%m-%d},{(V, W)[i % 2][i // 4] + i % 4 // 2}",
        ),
        {f"{store}/{dept}": [v + (store - 1) for v in (V, W)[dept - 1]] for store in (1, 2) for dept in (1, 2)},
        DAY,
    ),
    "a column without a name": (
        table("t,v,,w,", HOURS, lambda i, t: f"{t},{V[i]},{i % 7}.5,{W[i]},{'mean' if i == 3 else ''}"),
        {"v": V, "column 3": [i % 7 + 0.5 for i in range(N)], "w": W},
        HOUR,
    ),
}
ROWS = {
    "World Development Indicators": '"Data Source","World Development Indicators",\n\n'
    + '"Last Updated Date","2021-01-01",\n\n'
    + '"Country Name","Code",'
    + ",".join(f'"{1960 + i}"' for i in range(N))
    + ",\n"
    + "".join(f'"{name}","{name}X",' + ",".join(f'"{v}"' for v in values) + ",\n" for name, values in TWO.items()),
}


@pytest.mark.parametrize("kind", READ)
def test_an_export_is_read(kind):
    check_read(*READ[kind])


@pytest.mark.parametrize("kind", ROWS)
def test_an_export_with_a_series_in_each_row_is_read_as_such(kind):
    with pytest.raises(SignalError, match="--rows"):
        read_columns("f.csv", ROWS[kind].encode())
    columns = read_columns("f.csv", ROWS[kind].encode(), rows=True)
    assert {column.name: column.values.tolist() for column in columns} == TWO
    assert columns[0].sample_seconds == UNITS["year"]


REFUSED = {
    "two tables": (
        table("a,b", DAYS, lambda i, _: f"{i},2") + "\n" + table("c,d", DAYS, lambda *_: "3,4"),
        "row 63: 'c' is not",
    ),
    "a value and its quality": (
        table("DATE,TMP", HOURS, lambda i, t: f'{t},"+{int(10 * V[i]):04},1"'),
        "holds no series",
    ),
    "days without a year": (
        table("t,v", HOURS, lambda i, t: f"{t:%b %d %H:%M},{V[i]}"),
        "'Jan 14 00:00' may be a time",
    ),
    "one row a sale": (
        table("id,date,v", sorted(2 * DAYS), lambda i, t: f"{i},{t:%Y-%m-%d},{(V + W)[i]}"),
        "60 times stand twice.*unique_id",
    ),
    "-200 for what is missing": (
        table("t,v", HOURS, lambda i, t: f"{t},{-200 if i in (4, 9) else V[i]}"),
        "-200 stands 2 times.*missing=",
    ),
    "months and seasons": (
        "Year,"
        + ",".join(f"{t:%b}" for t in MONTHS[:12])
        + ",J-D,DJF\n"
        + "".join(f"{1900 + i}" + ",.1" * 14 + "\n" for i in range(40)),
        "column for each month",
    ),
    "a state that is not known": (
        table("t,v", HOURS, lambda i, t: f"{t},{'unavailable' if i == 8 else V[i]}"),
        "row 10: the value is missing",
    ),
    "Excel cuts thousands off": (
        table("t;v", HOURS, lambda i, t: f"{t};{990 + i % 25:,}".replace(",", ".")),
        r"'1\.000' has a decimal point, or one that keeps thousands apart.*--decimal",
    ),
    "some with a sign of percent": (
        table("t,v", HOURS, lambda i, t: f"{t},{V[i]}{'%' if i % 3 else ''}"),
        "no column of numbers",
    ),
    "quarters": (
        "Year,Q1,Q2,Q3,Q4\n" + "".join(f"{1990 + i},{V[i]},{W[i]},3.5,4.5\n" for i in range(20)),
        "a column for each quarter.*--no-rows",
    ),
    "quarters of R": (
        "     Qtr1  Qtr2  Qtr3  Qtr4\n" + "".join(f"{1990 + i} {V[i]} {W[i]} 3.5 4.5\n" for i in range(20)),
        "a column for each quarter",
    ),
    "weekdays": (
        "Week,Mon,Tue,Wed,Thu,Fri,Sat,Sun\n" + "".join(f"{i + 1},{V[i]}" + ",2.5" * 6 + "\n" for i in range(20)),
        "a column for each weekday",
    ),
    "German months": (
        "Jahr;Jan;Feb;Mrz;Apr;Mai;Jun;Jul;Aug;Sep;Okt;Nov;Dez\n"
        + "".join(f"{2000 + i};{V[i]}" + ";2.5" * 11 + "\n" for i in range(8)),
        "a column for each month",
    ),
    "months in digits": (
        "Year,"
        + ",".join(map(str, range(1, 13)))
        + "\n"
        + "".join(f"{2000 + i}" + ",2.5" * 12 + "\n" for i in range(8)),
        "a column for each month",
    ),
    "years beside months": (
        "Month,2017,2018\n" + "".join(f"{i + 1},{V[i]},{W[i]}\n" for i in range(12)),
        "a column for each year",
    ),
    "dates beside hours": (
        "Hour,2021-03-01,2021-03-02,2021-03-03\n" + "".join(f"{i},{V[i]},{W[i]},3.5\n" for i in range(24)),
        "a column for each date",
    ),
    "a vector of R": (
        "".join(f" [{8 * k + 1}] {' '.join(map(str, V[8 * k : 8 * k + 8]))}\n" for k in range(7)),
        "a vector as R prints it",
    ),
    "JSON": ('{"start": "2020-01-01", "target": [1, 2]}\n' * 3, "is JSON"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_an_export_that_may_be_misread_is_refused_in_one_line(kind):
    check_refused(*REFUSED[kind])
