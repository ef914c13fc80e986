"""Ask whether the forecast uses what lies one period back, and through which heads; read the answer."""

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
    "Does the forecast use what lies one period back, through attention there, and through which heads? The model "
    "comes first, then the mechanism, then the few heads, then each head.",
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
