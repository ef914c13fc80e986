"""The table of many signals in words, in rows and as JSON. All functions depend on the table alone."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from vitime_cache.attention.schema import HEAD, LAYER, SIGNAL
from vitime_cache.evidence.levels.table import BY_ATTENTION, KINDS
from vitime_cache.evidence.population import schema as population_schema
from vitime_cache.evidence.verdict.phrases import interval
from vitime_cache.numerals import percent
from vitime_cache.shown import counted
from vitime_cache.stats.intervals import proportion_interval
from vitime_cache.typed_json import write_json

if TYPE_CHECKING:
    import pandas as pd

LEVEL = 0.05  # error of the interval of the share, at most


def kinds(ds: xr.Dataset) -> Counter[str]:
    """Number of signals with each kind of answer, or with each reason for no answer."""
    return Counter(map(str, ds["kind"].values))


def answered(ds: xr.Dataset) -> int:
    """Number of signals that have an answer of any kind."""
    return sum(n for kind, n in kinds(ds).items() if kind in KINDS and kind != population_schema.OPEN)


def said_yes(ds: xr.Dataset) -> int:
    """Number of signals whose forecast was found to use what lies whole periods back."""
    return sum(n for kind, n in kinds(ds).items() if kind in KINDS and KINDS[kind].answer == "yes")


def share(ds: xr.Dataset) -> tuple[float, float, float]:
    """Share of answers that are yes, with its 95 % interval; the share is NaN without answers."""
    yes, n = said_yes(ds), answered(ds)
    low, high = proportion_interval(yes, n, LEVEL)
    return (yes / n if n else float("nan")), low, high


def head_counts(ds: xr.Dataset) -> list[tuple[str, int, int]]:
    """(layer, head, number of signals on which it is among the few that carry it), largest first, without zeros."""
    counts = ds["in_set"].transpose(SIGNAL, LAYER, HEAD).values.sum(axis=0)
    found = [(str(ds[LAYER].values[i]), int(ds[HEAD].values[h]), int(counts[i, h])) for i, h in np.argwhere(counts > 0)]
    return sorted(found, key=lambda each: -each[2])  # stable: equals stay in execution order


def headline(ds: xr.Dataset) -> str:
    """The answer in one sentence, and the head that carries it on most signals."""
    yes, n = said_yes(ds), answered(ds)
    if not n:
        return (
            "The question could not be asked about any signal."
            if population_schema.complete(ds)
            else "No signal has been asked about yet."
        )
    proportion = interval(*share(ds))
    said = f"On {yes} of {counted(n, 'signal')}, {proportion}, the forecast uses what lies whole periods back"
    through = sum(kinds(ds)[kind] for kind in BY_ATTENTION)
    if yes:
        said += f", on {through} of them through attention there"
    heads = head_counts(ds)
    if heads:
        layer, head, count = heads[0]
        ties = sum(each[2] == count for each in heads) - 1
        among = f"{layer} · {head} is among the few heads that carry it on {count}"
        said += f"; {among}" + (f", as {'is' if ties == 1 else 'are'} {counted(ties, 'other')}" if ties else "")
    return f"{said}."


def notes(ds: xr.Dataset) -> str:
    """The other answers, the signals that were not asked about, and the limits of the share."""
    found, counts = kinds(ds), population_schema.facts(ds, "counts")
    said = []
    if n := answered(ds):
        no = sum(found[kind] for kind, of in KINDS.items() if of.answer == "no")
        open_ = n - said_yes(ds) - no
        if no or open_:
            said.append(f"On {no} it does not; on {open_} neither is shown.")
    for name, why in population_schema.NOT_ASKED.items():
        if number := found[name]:
            said.append(f"{counted(number, 'signal')} not asked about: {why.one if number == 1 else why.many}.")
    if found[population_schema.OPEN]:
        said.append(f"Not finished: {counted(found[population_schema.OPEN], 'signal')} still to come.")
    if counts["drawn"] < counts["available"]:
        said.append(f"{counts['drawn']} of {counts['available']} signals were drawn at random.")
    if n:
        said.append(
            "The interval (95 %, Clopper-Pearson) assumes that the signals are drawn independently from all possible "
            "ones; for signals that are alike, or made from one another, it is too narrow."
        )
    return " ".join(said)


def row_words(ds: xr.Dataset, place: int) -> str:
    """One signal in a line: its name, the kind of answer, and the figures behind it."""
    row = ds.isel({SIGNAL: place})
    kind, name = str(row["kind"].values), str(row[SIGNAL].values)
    if kind in population_schema.NOT_ASKED:
        return f"{name}: not asked: {row['reason'].values}"
    share = interval(*(float(row[f"influence_{part}"]) for part in ("share", "low", "high")))
    through = percent(float(row["mechanism_share"]))
    period = population_schema.period_words(ds, place)
    return f"{name}: {kind_words(kind)}. Period {period}, {share}; of what attention carries, {through} from there"


def table_of(ds: xr.Dataset) -> pd.DataFrame:
    """One row for each signal: its name, kind of answer in words, period, shares and the heads of its set."""
    import pandas as pd

    few = ds["in_set"].transpose(SIGNAL, LAYER, HEAD).values
    rows = []
    for place, name in enumerate(map(str, ds[SIGNAL].values)):
        kind = str(ds["kind"].values[place])
        heads = [f"{ds[LAYER].values[i]} · {ds[HEAD].values[h]}" for i, h in np.argwhere(few[place])]
        rows.append(
            {"signal": name, "kind": kind, "answer": kind_words(kind), "period": float(ds["period"].values[place])}
            | {figure: float(ds[figure].values[place]) for figure in population_schema.FIGURES}
            | {"heads": ", ".join(heads), "reason": str(ds["reason"].values[place])}
        )
    return pd.DataFrame(rows)


def kind_words(kind: str) -> str:
    """The name of a kind of answer, or of a reason for none."""
    if kind in population_schema.NOT_ASKED:
        return f"Not asked: {kind}"
    other = {"indifferent": "No: indifferent", "elsewhere": "No: elsewhere"}
    return other.get(kind, KINDS[kind].words)


def to_json(ds: xr.Dataset) -> str:
    """Headline, share with interval, kinds, heads and every row as JSON; missing values are null."""
    value, low, high = share(ds)
    document = {
        "headline": headline(ds), "notes": notes(ds), "complete": population_schema.complete(ds),
        "yes": said_yes(ds), "answered": answered(ds), "share": value, "low": low, "high": high,
        "kinds": dict(kinds(ds)),
        "heads": [{"layer": layer, "head": head, "signals": n} for layer, head, n in head_counts(ds)],
        "signals": table_of(ds).to_dict("records"),
        "attributes": {name: population_schema.facts(ds, name) for name in population_schema.ATTRIBUTES},
    }  # fmt: skip
    return write_json(document)
