"""Which past does the forecast use? Bring a series or take a stored one, read the answer, see why."""

from functools import partial

import streamlit as st

from vitime_cache.series.spans import samples_in_words
from vitime_cache.ui.answers import answers, choose_answer, look_at, show_progress
from vitime_cache.ui.asked import asked_for, newly_asked_for
from vitime_cache.ui.bring import choose_subject
from vitime_cache.ui.evidence_view import begun, link_to, show_verdict, show_without_answer
from vitime_cache.ui.folds import folded
from vitime_cache.ui.question_form import ask_button, begin_by_itself, choose_question, fill_in, rest_button
from vitime_cache.ui.routing import chosen_store
from vitime_cache.ui.words import title

title("Which past does the forecast use?")
subject = choose_subject(chosen_store())
if subject is not None:
    found = answers(subject)
    wanted = newly_asked_for(subject)
    if wanted is not None:
        look_at(subject, wanted)
        fill_in(subject, wanted)
    asked = asked_for(subject)
    if asked is None:
        begin_by_itself(subject, found)
    elif asked not in {*found.verdicts, *(each.period for each in found.failed.values())}:
        st.info(
            "This address is a question about a period of "
            f"{samples_in_words(asked, subject.signal.sample_seconds)}. It was deleted, or not asked yet. Ask it "
            "below.",
            icon=":material/link_off:",
        )
    show_progress(found)
    if found.verdicts:
        period = choose_answer(subject, found)
        verdict, window = found.verdicts[period], found.window(period)
        if window is not None and not begun(verdict):
            show_without_answer(verdict, subject.signal, window)
        elif verdict is not None:
            rest = partial(rest_button, subject, verdict) if window is None else None
            show_verdict(verdict, subject, rest)
        link_to(subject, period)
    known = bool(found.verdicts)
    if form := folded("Ask another question" if known else "Ask", "another" if known else "ask", expanded=not known):
        with form:
            question = choose_question(subject)
            if question is not None:
                ask_button(subject, *question)
