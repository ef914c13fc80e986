"""Ask which heads look one period back and whether the forecast uses it; read the answer, rung by rung."""

import streamlit as st

from vitime_cache.ui.address import choose_signal
from vitime_cache.ui.answers import answers, choose_answer, show_progress
from vitime_cache.ui.compose import KEPT
from vitime_cache.ui.evidence_view import show_verdict
from vitime_cache.ui.question_form import ask_button, choose_own, choose_question, stored_subject
from vitime_cache.ui.routing import chosen_store
from vitime_cache.ui.words import say_if_unknown, title, weights_note

title(
    "Evidence",
    "Which heads look one period back, which of them more than on null inputs, and does the forecast use it? Each of "
    "these claims stands on a rung of its own: no rung follows from another.",
)
store = chosen_store()
say_if_unknown("own", "A series of my own", ())  # no address holds a series
own = st.toggle(
    "A series of my own", key="own", persist_state=KEPT,
    help="Compose it, paste it or upload a file; or take a signal at the left.",
)  # fmt: skip
if own:
    subject = choose_own()
else:
    ds = choose_signal(store)
    weights_note(ds)
    subject = stored_subject(store, ds)
if subject is not None:
    found = answers(subject)
    show_progress(found)
    if found.verdicts:
        period = choose_answer(subject, found)
        show_verdict(found.verdicts[period], subject.signal.name, coming=period in found.periods_under_way)
    with st.expander("Ask another question" if found.verdicts else "Ask", expanded=not found.verdicts):
        question = choose_question(subject)
        if question is not None:
            ask_button(subject, *question)
