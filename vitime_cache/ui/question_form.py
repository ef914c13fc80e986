"""The form of a question: its period and its stretch of the series, and the button that asks it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import streamlit as st
import xarray as xr

from vitime_cache import charts
from vitime_cache.errors import VitimeError
from vitime_cache.evidence.budget import BUDGET, SMALL
from vitime_cache.evidence.levels.claimed import LEVEL as CLAIMED_AT
from vitime_cache.evidence.periods import LEVEL, propose_periods
from vitime_cache.evidence.question import answered_by
from vitime_cache.evidence.verdict import schema as vschema
from vitime_cache.evidence.window import Window, choose_window
from vitime_cache.model.checkpoint import CheckpointError
from vitime_cache.numerals import percent
from vitime_cache.series.spans import WRITTEN, samples_in_words
from vitime_cache.ui import questions
from vitime_cache.ui.address import names_another
from vitime_cache.ui.answers import Answers, look_at
from vitime_cache.ui.asked import show_in_address
from vitime_cache.ui.chart import figure
from vitime_cache.ui.period_box import period_box, written
from vitime_cache.ui.reading import KEPT
from vitime_cache.ui.shared import shared
from vitime_cache.ui.verdicts import Subject, known_verdicts
from vitime_cache.ui.weights import default_weights
from vitime_cache.ui.words import complain, notice, plain


def fill_in(subject: Subject, period: float) -> None:
    """Put a period into the form, which may be opened later."""
    key, exact = _kept(subject)
    exact.append(period)
    st.session_state[key] = written(period)


def _kept(subject: Subject) -> tuple[str, list[float]]:
    """The key of the form's period in the session, and the periods that it knows with all their digits."""
    key = f"asked_{subject.signal.fingerprint[:12]}"
    periods = [each.period for each in _proposals(subject.signal.known)]
    return key, st.session_state.setdefault(f"{key}_exact", periods)


def choose_question(subject: Subject) -> tuple[float, Window] | None:
    """Choose the period and the stretch of the series to ask about; None, with a message in place, if it cannot be."""
    values = subject.signal.known
    key, exact = _kept(subject)
    proposals = _proposals(values)
    periods = [each.period for each in proposals]
    in_words = [samples_in_words(period, subject.signal.sample_seconds) for period in periods]
    st.session_state.setdefault(key, written(periods[0]) if periods else "")
    with st.container(horizontal=True, vertical_alignment="bottom"):
        period = period_box(
            key, exact, subject.signal.sample_seconds,
            help=f"Does the forecast use what lies one period back? {WRITTEN}: a day of hourly data is 24.",
        )  # fmt: skip
        if proposals:
            named = [i for i, each in enumerate(periods) if each == period]
            st.session_state[f"{key}_proposals"] = named[0] if named else None  # the number may also be typed
            st.pills(
                "Periods that stand out, strongest first", range(len(proposals)), key=f"{key}_proposals",
                format_func=lambda i: f"{in_words[i]}, {percent(proposals[i].power)} of the variance",
                on_change=_take_proposal, args=(key, periods),
                help="Lines of the periodogram that stand out from any smooth spectrum of noise that fits this series, "
                f"at the level {LEVEL:g} over all frequencies. Of about equally strong ones the longest is first; "
                "harmonics of stronger ones are last. The percentage is the share of the variance.",
            )  # fmt: skip
        own = st.toggle("Choose the stretch", key=f"{key}_own", help="Otherwise it is chosen so that P shows well.")
    if period is None:
        none = "" if proposals else "No period of this series stands out from noise. "
        st.info(f"{none}Enter the period to ask about.", icon=":material/help:")
        return None
    window = _chosen_window(subject, period, key, own)
    if window is None:
        return None
    figure(
        charts.window_picture, subject.signal.name, values, window, subject.signal.start, key="window", width="stretch",
        table=lambda: charts.window_table(values, window, subject.signal.start), about={"signal": subject.signal.name},
    )  # fmt: skip
    return period, window


def ask_button(subject: Subject, period: float, window: Window) -> None:
    """The button that asks the question, which runs in the model's process even if this page is left."""
    try:
        weights = default_weights()
    except CheckpointError as error:
        complain(error)
        return
    if weights.info.sha256 != subject.weights_sha256:
        st.warning(
            f"This attention was captured with the weights {plain(subject.weights)}; the weights in use are "
            f"{plain(weights.info.name)}. Put {plain(subject.weights)} into weights/ to ask.",
            icon=":material/key_off:",
        )
        return
    running = questions.find(_key(subject, period, window))
    if running is not None and not running.ended:
        st.caption("This question is under way: see above.")
        return
    settings: dict[str, Any] = {} if window.chosen else {"window": (window.history, window.horizon)}
    with st.container(horizontal=True, vertical_alignment="bottom"):
        settings["budget"] = st.number_input(
            "At most, minutes", 1.0, None, BUDGET if subject.config.tokens > SMALL else None, 1.0, "%.0f",
            key="budget", persist_state=KEPT, placeholder="no limit", width=160,
            help="A large network would take hours for everything. Within a limit, the model and its mechanism come "
            "first, then as many heads as there is time for; the verdict says what was left out.",
        )  # fmt: skip
        st.button(  # its label fits a phone
            f"Ask about {samples_in_words(period, subject.signal.sample_seconds)}", icon=":material/gavel:",
            type="primary", key="ask", on_click=_ask_by_hand, args=(subject, period, window, weights.path, settings),
            help="Does the forecast use what lies whole periods back, and through which heads? Runs the model on the "
            "stretch with parts of its history moved, with what attention reads replaced, with each head replaced, and "
            "on null inputs. It continues if you leave this page. Its results for a stored signal are kept in the "
            "store.",
        )  # fmt: skip


def rest_button(subject: Subject, verdict: xr.Dataset) -> None:
    """The button that asks for the levels that a partial verdict lacks; none with other weights, which the form names.

    It asks on the verdict's own stretch, without a limit of time if the network is small.
    """
    period, of = float(vschema.facts(verdict, "question")["period"]), vschema.facts(verdict, "window_facts")
    lengths = int(of["history"]), int(of["horizon"])
    try:
        weights, window = default_weights(), _window(subject, period)
        if (window.history, window.horizon) != lengths:
            window = _window(subject, period, *lengths)
    except VitimeError:
        return
    if weights.info.sha256 != subject.weights_sha256:
        return
    settings: dict[str, Any] = {} if window.chosen else {"window": lengths}
    settings["budget"] = BUDGET if subject.config.tokens > SMALL else None
    st.button(
        "Ask for the rest", icon=":material/gavel:", key="rest", on_click=_ask_by_hand,
        args=(subject, period, window, weights.path, settings), help="It goes on after the last finished level.",
    )  # fmt: skip


def begin_by_itself(subject: Subject, found: Answers) -> None:
    """Ask about the strongest period of a series without any answer, if the network is small enough.

    Not of a series that nobody named, which stands in for one that is not here.
    """
    if found.verdicts or found.under_way or found.failed or subject.config.tokens > SMALL:
        return
    tried: set[str] = st.session_state.setdefault("began", set())
    proposals = _proposals(subject.signal.known)
    if subject.key in tried or not proposals:
        return
    tried.add(subject.key)
    if names_another():
        return
    period = proposals[0].period
    try:
        weights = default_weights()
        window = _window(subject, period)
    except VitimeError:
        return  # the form shows the error
    if weights.info.sha256 == subject.weights_sha256:
        _ask(subject, period, window, weights.path, {})
        st.rerun()


def _ask_by_hand(subject: Subject, period: float, window: Window, weights: Path, settings: dict[str, Any]) -> None:
    _ask(subject, period, window, weights, settings)
    show_in_address(subject, period)


def _key(subject: Subject, period: float, window: Window) -> questions.Key:
    return subject.key, f"{period:.9g}|{window.history}|{window.horizon}"


def _ask(subject: Subject, period: float, window: Window, weights: Path, settings: dict[str, Any]) -> None:
    questions.ask(
        _key(subject, period, window), subject.signal, period, window, weights, settings, subject.store,
        _answered_so_far(subject, period, window, settings),
    )  # fmt: skip
    look_at(subject, period)


def _answered_so_far(subject: Subject, period: float, window: Window, settings: dict[str, Any]) -> xr.Dataset | None:
    """The known verdict on the same question, finished or not: the run goes on from it."""
    known = known_verdicts(subject).get(period)
    if known is None:
        return None
    of = vschema.facts(known, "question")
    every_level = {name: value for name, value in of.items() if name != "levels"}  # not those asked of many signals
    asked_here = {"period_from": "asked", "heads": "all", "history": window.history, "horizon": window.horizon}
    same = answered_by({**every_level, **asked_here, "seed": 0, "level": CLAIMED_AT}, settings.get("budget"))
    return known if of in same else None


def _window(subject: Subject, period: float, history: int | None = None, horizon: int | None = None) -> Window:
    return choose_window(
        len(subject.signal.known), period, columns=subject.config.columns, patch_width=subject.config.patch_width,
        history=history, horizon=horizon, sample_seconds=subject.signal.sample_seconds,
    )  # fmt: skip


def _chosen_window(subject: Subject, period: float, key: str, own: bool) -> Window | None:
    """The stretch chosen by the program or by the user; None, with a message in place, if it cannot be."""
    try:
        if not own:
            return _window(subject, period)
        with st.container(horizontal=True):
            most, horizon = len(subject.signal.known), subject.signal.horizon
            history = int(
                st.number_input("History, samples", 4, most, len(subject.signal.values), key=f"{key}_history")
            )
            ahead = int(st.number_input("Horizon, samples", 1, most, min(horizon, most), key=f"{key}_horizon"))
        return _window(subject, period, history, ahead)
    except VitimeError as error:
        notice(error)
        return None


def _take_proposal(key: str, periods: list[float]) -> None:
    number = st.session_state[f"{key}_proposals"]
    if number is not None:
        st.session_state[key] = written(periods[number])


_proposals = shared(64)(propose_periods)
