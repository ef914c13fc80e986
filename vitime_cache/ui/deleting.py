"""Delete a question or a signal from a store, for everyone who uses it, after a sentence that says what is lost."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import streamlit as st

from vitime_cache.errors import VitimeError
from vitime_cache.shown import counted
from vitime_cache.store.evidence_groups import remove_groups
from vitime_cache.store.removal import remove_signal
from vitime_cache.store.verdicts import stored_verdicts
from vitime_cache.ui import questions
from vitime_cache.ui.address import forget_choice
from vitime_cache.ui.asked import Asked
from vitime_cache.ui.folds import popped_up
from vitime_cache.ui.stores import Store, reading, store_at
from vitime_cache.ui.verdicts import Subject, answers_about, forget_verdicts
from vitime_cache.ui.words import complain, plain

LOST = "Others who use it lose it too, and it cannot be brought back."
SAID = "said_of_deletion"  # session key


def say_what_was_deleted() -> None:
    """Say once what the last press of a button has deleted, or why it could not."""
    said = st.session_state.pop(SAID, None)
    if isinstance(said, Exception):
        complain(said)
    elif said is not None:
        st.success(said, icon=":material/delete:")


def offer_to_delete_a_question(asked: Mapping[str, tuple[Path, Asked]]) -> None:
    """Choose a question, by its words, and delete what its store holds of it; it is stopped if it is running."""
    if place := popped_up("Delete a question", "delete_question", icon=":material/delete:"):
        with place:
            words = _choose("Question to delete", list(asked))
            if words is None:
                return
            st.caption(f"It is stopped if it is running, and every answer to it is deleted. {LOST}")
            _button("Delete this question", "delete_question", partial(delete_question, *asked[words]))


def offer_to_delete_a_signal(store: Store) -> None:
    """Choose a signal of a store and delete it with the answers about it."""
    if place := popped_up("Delete a signal", "delete_signal", icon=":material/delete:"):
        with place:
            name = _choose("Signal to delete", store.signals)
            if name is None:
                return
            with reading(store):
                answers = len(_groups(store, name))
            also = f", with {counted(answers, 'answer')} about it" if answers else ""
            st.caption(f"It is deleted from {plain(store.name)}{also}. {LOST}")
            _button("Delete this signal", "delete_signal", partial(delete_signal, store.path, name))


def delete_question(place: Path, asked: Asked) -> str:
    """Stop a question and delete every answer to it from the store of its series; say what was done."""
    stopped = questions.stop(
        lambda key, each: Asked.about(questions.store_of(key), each.signal.name, each.period) == asked
    )
    groups = [
        each.group
        for each in stored_verdicts(place)
        if Asked.about(place, each.signal, float(each.question["period"])) == asked
    ]
    remove_groups(place, groups)
    forgotten = forget_verdicts(place, asked.period)
    return "The question was deleted." if stopped or groups or forgotten else "The question was already deleted."


def delete_signal(path: Path, name: str) -> str:
    """Stop the questions about a signal and delete it, with its answers, from its store; say what was done."""
    store, there = store_at(path), False
    if name in store.signals:
        subject, groups = Subject.of(store.signal(name)), _groups(store, name)
        questions.stop(lambda key, _: key[0] == subject.key)
        there = remove_signal(path, name)
        remove_groups(path, groups)
        forget_verdicts(path)
    forget_choice("signal", name)
    return f"{plain(name)} was {'' if there else 'already '}deleted from {plain(store.name)}."


def _groups(store: Store, name: str) -> list[str]:
    return [each.group for each in answers_about(store.path, Subject.of(store.signal(name)).signal)]


def _choose(label: str, options: Sequence[str]) -> str | None:
    """Nothing is chosen at first, so that no press of a button too many deletes anything."""
    return st.selectbox(label, options, index=None, key=label.lower().replace(" ", "_"))


def _button(label: str, key: str, delete: Callable[[], str]) -> None:
    # A callback, because a fresh server runs its first page twice (see `routing`).
    st.button(label, icon=":material/delete_forever:", key=key, type="primary", on_click=done, args=(delete,))


def done(delete: Callable[[], str]) -> None:
    """Delete something, and have the page say so, or why it could not be deleted."""
    try:
        st.session_state[SAID] = delete()
    except (VitimeError, OSError, KeyError) as error:
        st.session_state[SAID] = error
