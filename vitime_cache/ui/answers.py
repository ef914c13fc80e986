"""The answers about a series so far: finished verdicts, and those under way, level by level."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import streamlit as st
import xarray as xr

from vitime_cache.evidence.levels.table import LEVEL, STAGES
from vitime_cache.evidence.verdict import schema as vschema
from vitime_cache.evidence.window import Window
from vitime_cache.series.spans import samples_in_words
from vitime_cache.ui import questions
from vitime_cache.ui.address import keep_in_address
from vitime_cache.ui.asked import show_in_address
from vitime_cache.ui.questions import Key, RunningQuestion
from vitime_cache.ui.terms import explained
from vitime_cache.ui.verdicts import Subject, known_verdicts, named, remember_verdict
from vitime_cache.ui.words import plain


@dataclass(frozen=True)
class Answers:
    """The answers about one series at the moment of a rerun.

    Attributes
    ----------
    verdicts
        Period in samples -> the verdict with its finished levels, latest first; None before the model has forecast.
    under_way, failed
        Questions that are running, and those that ended without an answer.
    """

    verdicts: Mapping[float, xr.Dataset | None]
    under_way: Mapping[Key, RunningQuestion]
    failed: Mapping[Key, RunningQuestion]

    def window(self, period: float) -> Window | None:
        """The stretch that a question under way is asked on, by its period."""
        return next((each.window for each in self.under_way.values() if each.period == period), None)


def answers(subject: Subject) -> Answers:
    """The answers about a subject; a verdict that no store could keep is kept in the session."""
    asked = {key: each for key, each in questions.known().items() if key[0] == subject.key}
    ended = {key: each for key, each in asked.items() if each.ended}
    for key, each in ended.items():
        _take(subject, key, each)
    under_way = {key: each for key, each in asked.items() if key not in ended}
    coming = {
        each.period: None if each.verdict is None else named(subject, each.verdict)
        for each in reversed(under_way.values())
    }
    known = {period: verdict for period, verdict in known_verdicts(subject).items() if period not in coming}
    return Answers(coming | known, under_way, {key: each for key, each in ended.items() if each.error})


def _in_words(asked: questions.RunningQuestion) -> str:
    return samples_in_words(asked.period, asked.signal.sample_seconds)


def show_progress(found: Answers) -> None:
    """Show the progress of the questions under way, and why others ended without an answer."""
    for each in found.failed.values():
        box, icon = (st.info, "stop_circle") if each.error == questions.STOPPED else (st.error, "error")
        box(f"A period of {_in_words(each)}: {plain(each.error)}", icon=f":material/{icon}:")
    for key, each in found.under_way.items():
        if (mine := questions.session()) in each.asked_by:
            keep_in_address(questions.BY, mine)  # so that the question can be stopped after a reload
        _progress(key, each.shown)


def choose_answer(subject: Subject, found: Answers) -> float:
    """The period whose verdict is shown; by default that of the latest question."""
    periods, key = list(found.verdicts), _place(subject)
    if st.session_state.get(key) not in periods:
        st.session_state[key] = periods[0]
    if len(periods) == 1:
        return periods[0]
    chosen = st.segmented_control(
        "Period asked about",
        periods,
        required=True,
        format_func=lambda each: samples_in_words(each, subject.signal.sample_seconds),
        key=key,
        on_change=lambda: show_in_address(subject, st.session_state[key]),
    )
    return periods[0] if chosen is None else chosen


def look_at(subject: Subject, period: float) -> None:
    """Show the verdict of this period."""
    st.session_state[_place(subject)] = period


def _place(subject: Subject) -> str:
    return f"period_asked_{subject.key}"


@st.fragment(run_every=1.0)
def _progress(key: Key, shown: tuple[str, ...] | None) -> None:
    """Show a question's progress once a second; rerun the page when there is more to show of it."""
    asked = questions.find(key)
    if asked is None or asked.ended or asked.shown != shown:
        st.rerun()
    with st.container(horizontal=True, vertical_alignment="center"):
        said = f"A period of {_in_words(asked)}: {plain(asked.step)}"
        st.progress(min(asked.share, 1.0), said, width="stretch")
        if (mine := questions.session()) in asked.asked_by:
            st.button("Stop", icon=":material/stop:", key=f"stop_{'_'.join(key)}", on_click=asked.leave, args=(mine,))
    done = shown or ()
    left = [LEVEL[stage].title for stage in STAGES if stage not in done]
    badges = [f":green-badge[:material/check: {LEVEL[stage].title.lower()}]" for stage in done]
    if asked.step in left:
        left.remove(asked.step)
        badges.append(f":blue-badge[:material/sync: {asked.step.lower()}, now]")
    coming = f"Still to come: {'; '.join(left).lower()}." if left else "It is the last level."
    st.markdown(f"{' '.join(badges)} {coming} It continues if you leave this page.", help=explained(coming))


def _take(subject: Subject, key: Key, asked: RunningQuestion) -> None:
    """Keep in the session a verdict that no store could keep, and forget a question that was answered.

    A question that was stopped is not forgotten, so that every other session still sees its levels.
    """
    verdict = asked.verdict
    if verdict is not None and asked.stages and asked.error:
        before = known_verdicts(subject).get(asked.period)
        if vschema.complete(verdict) or before is None or not vschema.complete(before):
            remember_verdict(subject, verdict)
    if not asked.error:
        questions.forget(key)
