"""What an error advises is obeyed on the file that produced it: that reads the file, or says something else."""

from __future__ import annotations

import io
import re
import shlex
from argparse import ArgumentParser
from collections.abc import Iterator
from datetime import datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from vitime_cache.cli.arguments import add_reading, reading_of
from vitime_cache.series.sources import Signal, SignalError, column_names, read_signals

N = 30
DAYS = [datetime(2016, 7, 1) + timedelta(days=i) for i in range(N)]
DATES = [f"{day:%Y-%m-%d}" for day in DAYS]
MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]


def rows(head: str, *columns: object) -> str:
    return "\n".join([head, *(",".join(map(str, cells)) for cells in zip(*columns, strict=False))]) + "\n"


V = [round(float(np.sin(i)) * 3, 3) for i in range(N)]
FILES = {
    "a gap": rows("date,v", [*DATES[:9], *DATES[12:]], V),
    "times without a step": rows("date,v", [f"{DAYS[0] + timedelta(minutes=i**2)}" for i in range(N)], V),
    "years without a step": rows("year,v", [1900 + i**2 // 3 for i in range(N)], V),
    "seconds without a step": rows("time_s,v", [i**2 + 1 for i in range(N)], V),
    "a calendar without a step": rows("year,month,day,v", [2016] * N, [1 + i % 5 for i in range(N)], range(1, N), V),
    "times that stand twice": rows("date,v", [*DATES[:-1], DATES[-2]], V),
    "stacked series": rows("date,v", DATES[:15] * 2, V),
    "times out of order": rows("date,v", [DATES[i ^ 1] for i in range(N)], V),
    "two columns of dates": rows("start,end,v", DATES[:-1], [DATES[0], *DATES[2:]], V),
    "dates of either order": rows("date,v", ["01/02/2020", "01/03/2020", "01/04/2020"], V),
    "times of another language": rows("Monat,v", [f"{['Mär', 'Mai'][i % 2]} {2000 + i}" for i in range(N)], V),
    "days without a year": rows("date,v", [f"{day:%d-%b}" for day in DAYS], V),
    "a sum under an unknown name": rows("date,v", [*DATES, "Alles"], [*V, 5]),
    "a column for each month": rows(f"Year,{','.join(MONTHS)}", range(1990, 2000), *([V] * 12)),
    "a column for each hour": rows(f"date,{','.join(f'HE{i + 1}' for i in range(24))}", DATES, *([V] * 24)),
    "one row": rows("a,b,c,d", [1], [2], [3], [4]),
    "series in rows": rows(f"name,{','.join(f'V{i}' for i in range(N))}", "abcd", *([V] * N)),
    "a word among numbers": rows("date,v,w", DATES, [*V[:7], "weg", *V[8:]], V),
    "units that differ": rows("date,v,w", DATES, [f"{v} {'kM'[i > 20]}Wh" for i, v in enumerate(V)], V),
    "a missing value": rows("date,v", DATES, [*V[:7], "", *V[8:]]),
    "a mark": rows("date,v", DATES, [-999 if i % 9 == 4 else v for i, v in enumerate(V)]),
    "points of thousands": rows("date;v", [f"{day:%d.%m.%Y};{i + 1}.{100 + i}" for i, day in enumerate(DAYS)]),
    "commas of thousands": rows("date;v", [f"{date};{i + 1}" for i, date in enumerate(DATES)], range(100, 130)),
}


def read(text: str, flags: tuple[str, ...] = ()) -> list[Signal] | str:
    """What the command reads with some flags, or the error."""
    parser = ArgumentParser()
    add_reading(parser)
    try:
        return read_signals(
            io.BytesIO(text.encode()), name="f.csv", tell=lambda _: None, **reading_of(parser.parse_args(flags))
        )
    except SignalError as error:
        return str(error)


def advised(text: str, error: str) -> Iterator[tuple[str, ...]]:
    """The flags in an error, with the names that the file has and the mark that the error names."""
    for flag in (flag for inside in re.findall(r"\((--[^)]*)\)", error) for flag in inside.split(", ")):
        name, *value = shlex.split(flag)
        if value == ["NAME"]:
            wrong = re.search(r"column '([^']*)'", error)
            yield from ((name, each) for each in column_names(text.encode(), "f.csv") if each not in ("date", wrong[1]))
        elif value == ["MARK"]:
            yield name, re.search(r"row \d+: '([^']*)'", error)[1]
        else:
            yield name, *value


@pytest.mark.parametrize("kind", FILES)
def test_every_flag_that_an_error_names_reads_the_file_or_leads_to_another_error(kind):
    text, open_ends, seen = FILES[kind], [()], 0
    while open_ends:
        flags = open_ends.pop()
        error = read(text, flags)
        if isinstance(error, str):
            for more in advised(text, error):
                seen, after = seen + 1, read(text, (*flags, *more))
                assert after != error, f"{' '.join((*flags, *more))} changes nothing: {error}"
                if isinstance(after, str) and len(flags) < 6:
                    open_ends.append((*flags, *more))
                elif not isinstance(after, str):
                    assert {"year", "time_s", "month", "day", "date"}.isdisjoint(signal.name for signal in after)
    assert bool(seen) == (kind != "a sum under an unknown name")  # no flag leaves it out


@pytest.mark.parametrize(("kind", "key", "part"), [("month", "Year", 12), ("hour", "date", 24)])
def test_a_table_of_months_or_hours_that_was_melted_as_advised_is_one_series(kind, key, part):
    text = FILES[f"a column for each {kind}"]
    assert f"var_name='{kind}'" in read(text)
    long = pd.read_csv(io.StringIO(text)).melt(key, var_name=kind, value_name="v")
    [signal] = read(long.to_csv(index=False), ("--fill", "interpolate"))
    assert (signal.name, len(signal.values)) == ("v", part * text.count("\n") - part)


def test_rows_named_by_series_as_advised_are_read_apart():
    text = FILES["stacked series"]
    assert "call the column that tells the series of a row 'unique_id'" in read(text)
    named = rows("unique_id,date,v", ["a"] * 15 + ["b"] * 15, DATES[:15] * 2, V)
    assert {signal.name: signal.values.tolist() for signal in read(named)} == {"a": V[:15], "b": V[15:]}
