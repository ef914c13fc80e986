"""Tables of the Library other than signals: questions with their answers, weights, and stores."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import streamlit as st

from vitime_cache.errors import VitimeError
from vitime_cache.evidence.verdict.headline import headline
from vitime_cache.numerals import percent
from vitime_cache.series.spans import in_words, samples_in_words
from vitime_cache.store.verdicts import stored_verdicts
from vitime_cache.ui import own, questions
from vitime_cache.ui.address import address
from vitime_cache.ui.asked import Asked, address_of
from vitime_cache.ui.deleting import offer_to_delete_a_question
from vitime_cache.ui.stores import ROWS, Store, stores
from vitime_cache.ui.tables import TICK, row_height, ticked_row
from vitime_cache.ui.verdicts import words_of
from vitime_cache.ui.weights import default_weights, weights_files
from vitime_cache.ui.words import notice

ANSWER, NOTE = 360, 300  # pixels: with the other columns, as wide as a page of 1280
QUESTION_COLUMNS = {
    "series": st.column_config.TextColumn("Series", width=100),
    "period": st.column_config.NumberColumn("Period", width=65, format="%.4g", help="In samples."),
    "time": st.column_config.TextColumn("That is", width=80),
    "answer": st.column_config.TextColumn("Answer", width=ANSWER),
    "state": st.column_config.TextColumn("State", width=70),
    "asked_utc": st.column_config.TextColumn("Asked, UTC", width=120),
}
WEIGHTS_COLUMNS = {
    "weights": st.column_config.TextColumn("Weights", width=190),
    "used": st.column_config.CheckboxColumn("In use", width=70, help="For new series."),
    "layers": st.column_config.TextColumn("Layers", width=70, help="Encoder + decoder."),
    "heads": st.column_config.NumberColumn("Heads", width=70, help="Heads per layer."),
    "tokens": st.column_config.TextColumn("Tokens", width=80, help="Value rows × patch columns."),
    "megabytes": st.column_config.NumberColumn("MB", width=70, format="%.1f"),
    "note": st.column_config.TextColumn("Note", width=NOTE),
}


@dataclass(frozen=True)
class Row:
    """A question in the Library: the cells of its row, the store of its series, and its address.

    Attributes
    ----------
    period, time
        In samples, and in words of time; empty if the spacing of the samples is not known.
    """

    asked_utc: str
    series: str
    period: float
    time: str
    answer: str
    state: str
    place: Path
    address: Asked


def questions_table(store: Store | None) -> None:
    """Every question about this store's signals and this session's own series; ticking its row opens it on Ask."""
    rows = sorted(_rows(store), key=lambda row: row.asked_utc, reverse=True)
    st.subheader("Questions asked", anchor=False)
    if not rows:
        st.caption("None yet. Questions asked on the page **Ask**, or by the command `ask`, appear here.")
        return
    shown = rows[:ROWS]
    st.caption(TICK.format("the answer") + (f" The latest {ROWS} are shown." if len(rows) > ROWS else ""))
    table = pd.DataFrame([{name: getattr(row, name) for name in QUESTION_COLUMNS} for row in shown])
    ticked = ticked_row(table, QUESTION_COLUMNS, "questions", row_height=row_height(table["answer"], ANSWER))
    if ticked is not None:
        st.switch_page("pages/ask.py", query_params=address_of(shown[ticked].address))
    offer_to_delete_a_question(_each_once(rows))


def _each_once(rows: Sequence[Row]) -> dict[str, tuple[Path, Asked]]:
    """The questions in words, with their stores and addresses; own series may share a name."""
    questions, asked = dict[str, tuple[Path, Asked]](), set[Asked]()
    for row in rows:
        if row.address not in asked:
            asked.add(row.address)
            words = f"{row.series}, {samples_in_words(row.period, 0.0)}" + (f" ({row.time})" if row.time else "")
            named = words if words not in questions else f"{words}, asked {row.asked_utc} UTC"
            questions[named] = row.place, row.address
    return questions


def _rows(store: Store | None) -> Iterator[Row]:
    """The running questions, then the stored ones, each once."""
    places = {} if store is None else {store.path: ""}
    places |= {own.store_behind(option).path: f"{name} (yours)" for option, name in own.options().items()}
    running = set()
    for key, asked in questions.known().items():
        place = questions.store_of(key)
        if place in places and not asked.ended:
            name = Asked.about(place, asked.signal.name, asked.period)
            running.add(name)
            time = in_words(asked.period, asked.signal.sample_seconds)
            so_far = headline(asked.verdict) if asked.verdict is not None and asked.stages else ""
            yield Row(
                "now", places[place] or asked.signal.name, asked.period, time, so_far, f"{percent(asked.share)} done",
                place, name,
            )  # fmt: skip
    for place, called in places.items():
        try:
            kept = stored_verdicts(place)
        except (VitimeError, OSError) as error:
            notice(error)
            continue
        for each in kept:
            period = float(each.question["period"])
            name = Asked.about(place, each.signal, period)
            time = in_words(period, float(each.question.get("sample_seconds") or 0))
            if name not in running:
                state = "finished" if each.complete else "partial"
                asked_at = each.created[:16].replace("T", " ")
                yield Row(asked_at, called or each.signal, period, time, words_of(place, each), state, place, name)


def weights_table() -> None:
    """The files in `weights/`: the network of each, and which one is used for new series."""
    files = weights_files()
    if not files:
        return
    try:
        used = default_weights().path
    except VitimeError:
        used = None
    st.subheader("Weights", anchor=False)
    rows = []
    for path, file in files.items():
        row = {"weights": path.name, "used": path == used}
        with suppress(FileNotFoundError):  # removed meanwhile
            row["megabytes"] = path.stat().st_size / 1e6
        if isinstance(file, str):
            row["note"] = file
        else:
            config, (high, wide) = file.config, file.config.grid
            row |= {
                "layers": f"{config.encoder_depth} + {config.decoder_depth}", "heads": config.heads,
                "tokens": f"{high} × {wide}", "note": file.info.note,
            }  # fmt: skip
        rows.append(row)
    table = pd.DataFrame(rows, columns=list(WEIGHTS_COLUMNS))
    st.dataframe(
        table, column_config=WEIGHTS_COLUMNS, hide_index=True, key="weights",
        row_height=row_height(table["note"].fillna(""), NOTE),
    )  # fmt: skip
    st.caption("A file in `weights/` can be compared with these on the page **Compare**, under “Two weights”.")


def stores_table(chosen: Store | None) -> None:
    """All stores, if there are several; ticking one selects it."""
    every = list(stores().values())
    if len(every) < 2:
        return
    st.subheader("Stores", anchor=False)
    st.caption(TICK.format("a store"))
    rows = []
    for store in every:
        row = {"store": store.name, "chosen": chosen is not None and store.path == chosen.path}
        try:
            row |= {"signals": len(store.signals), "weights": store.dataset.attrs["weights"] if store.stamp else ""}
        except (VitimeError, OSError, KeyError):
            row |= {"weights": "cannot be read"}
        rows.append(row)
    columns = {
        "store": st.column_config.TextColumn("Store"),
        "chosen": st.column_config.CheckboxColumn("Selected"),
        "signals": st.column_config.NumberColumn("Complete signals"),
        "weights": st.column_config.TextColumn("Weights"),
    }
    ticked = ticked_row(pd.DataFrame(rows, columns=list(columns)), columns, "stores")
    if ticked is not None:
        st.switch_page("pages/library.py", query_params=address(store=every[ticked].name))
