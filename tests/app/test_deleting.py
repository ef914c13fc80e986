"""Deleting a question and a signal in the Library: what goes, what stays, and what others are told."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import xarray as xr
from streamlit.testing.v1 import AppTest

from tests.app.conftest import signals
from tests.app.test_addresses import FULL, about, built_with_two_answers, two_answers  # noqa: F401 - fixtures
from tests.app.test_evidence import made
from tests.app.test_own import paste, save
from tests.app.test_pages import read, texts
from tests.app.test_questions import busy  # noqa: F401 - a fixture
from vitime_cache.evidence.question import series_hash
from vitime_cache.evidence.verdict import schema as vschema
from vitime_cache.series.signal import Signal
from vitime_cache.store.build import build
from vitime_cache.store.objects import StoreError
from vitime_cache.store.reader import open_store
from vitime_cache.store.verdicts import keep_verdict, stored_verdicts
from vitime_cache.ui import deleting, questions, verdicts
from vitime_cache.ui.asked import keep_address
from vitime_cache.ui.stores import store_at

OpenPage = Callable[..., AppTest]
ODD = "x'; <b>*y*</b> 🌊 [a](b) $z$ {w}"


def delete(at: AppTest, thing: str, words: str) -> AppTest:
    at.selectbox(key=f"{thing}_to_delete").select(words).run()
    assert not at.exception
    assert "Others who use it lose it too" in texts(at)
    at.button(key=f"delete_{thing}").click().run()
    assert not at.exception
    return at


def periods(store: Path) -> set[float]:
    return {float(each.question["period"]) for each in stored_verdicts(store)}


@pytest.mark.usefixtures("two_answers")
def test_nothing_can_be_deleted_before_it_is_chosen(open_page: OpenPage) -> None:
    at = open_page("library")
    assert not [button for button in at.button if button.key.startswith("delete_")]


def test_a_question_is_deleted_alone_and_its_address_says_so(two_answers: Path, open_page: OpenPage) -> None:  # noqa: F811
    open_page("ask", q=keep_address(FULL))  # held in the caches
    at = delete(open_page("library"), "question", "full, 62.8 samples")
    assert at.success[0].value == "The question was deleted."
    assert periods(two_answers) == {100.0}
    assert list(at.dataframe[0].value["period"]) == [100.0]
    gone = open_page("ask", q=keep_address(FULL))
    assert not gone.exception
    assert "a period of 62.8 samples. It was deleted, or not asked yet" in gone.info[0].value
    assert list(open_store(two_answers).signal.values) == ["full", "reduced_harmonic", "harmonic_63", "white_noise"]


def test_a_question_that_is_asked_again_after_it_was_deleted_shows_its_new_answer(
    two_answers: Path,  # noqa: F811
    weights: Path,
    open_page: OpenPage,
) -> None:
    open_page("ask", q=keep_address(FULL))
    (before,) = [each.group for each in stored_verdicts(two_answers) if each.question["period"] == 62.8]
    delete(open_page("library"), "question", "full, 62.8 samples")
    other = about(made(weights, "full", kind="elsewhere"), 62.8, "2026-01-03T00:00:00+00:00")
    assert keep_verdict(two_answers, other) == before, "of the same name"
    at = open_page("ask", q=keep_address(FULL))
    assert not at.success
    assert at.info[0].value.startswith("No")


def test_two_sessions_delete_the_same_question_and_the_second_is_told(two_answers: Path, open_page: OpenPage) -> None:  # noqa: F811
    mine, yours = open_page("library"), open_page("library")
    for at in (mine, yours):
        at.selectbox(key="question_to_delete").select("full, 100 samples").run()
    for at, said in ((mine, "The question was deleted."), (yours, "The question was already deleted.")):
        at.button(key="delete_question").click().run()
        assert not at.exception
        assert at.success[0].value == said
    assert periods(two_answers) == {62.8}


@pytest.mark.usefixtures("busy")
def test_a_question_that_is_deleted_while_it_runs_is_stopped_first_and_keeps_nothing(
    store: Path,
    open_page: OpenPage,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    at = open_page("ask", signal="harmonic_63")
    at.button(key="ask").click().run()
    (asked,) = questions.known().values()
    order = list[str]()
    remove = deleting.remove_groups

    def removed(*args: Any) -> None:
        order.append("removed" if asked.ended else "too early")
        remove(*args)

    monkeypatch.setattr(deleting, "remove_groups", removed)
    library = open_page("library")
    (words,) = library.selectbox(key="question_to_delete").options
    assert words.startswith("harmonic_63, ")
    at = delete(library, "question", words)
    assert order == ["removed"]
    assert at.success[0].value == "The question was deleted."
    assert not stored_verdicts(store)


def test_a_saved_signal_is_deleted_with_its_answers_and_others_stay(
    store: Path, weights: Path, open_page: OpenPage
) -> None:
    asking = open_page("ask")
    option = paste(asking)
    save(asking.switch_page("pages/library.py").run(), option, ODD)
    for name in ("full", "white_noise"):
        keep_verdict(store, made(weights, name))
    signal = verdicts.Subject.of(store_at(store).signal(ODD)).signal
    keep_verdict(store, _about_signal(weights, signal))
    assert len(stored_verdicts(store)) == 3
    at = open_page("library")
    assert ODD in at.selectbox(key="signal_to_delete").options
    at = delete(at, "signal", ODD)
    assert read(at.success[0].value) == f"{ODD} was deleted from vitime-mini.zarr."
    assert ODD not in open_store(store).signal.values
    assert {each.signal for each in stored_verdicts(store)} == {"full", "white_noise"}
    gone = open_page("head", signal=ODD)
    assert "was deleted or is not here" in gone.warning[0].value
    again = save(open_page("library", q=option.removeprefix("own:")), option, ODD)
    assert not again.error
    assert ODD in open_store(store).signal.values


def test_deleting_a_signal_from_the_middle_leaves_every_other_as_it_was(store: Path, open_page: OpenPage) -> None:
    before = open_store(store).load()
    open_page("head", signal="white_noise")
    delete(open_page("library"), "signal", "reduced_harmonic")
    after = open_store(store).load()
    assert list(after.signal.values) == ["full", "white_noise", "harmonic_63"]
    for name in after.signal.values:
        xr.testing.assert_identical(after.sel(signal=name), before.sel(signal=name))
    at = open_page("head", signal="white_noise")
    assert not at.exception
    assert at.selectbox(key="pick_signal").value == "white_noise"


def test_the_last_signal_of_a_store_can_go_and_every_page_says_what_to_do(
    weights: Path, folder: Path, open_page: OpenPage
) -> None:
    build(signals("full"), folder / "one.zarr", weights)
    at = delete(open_page("library"), "signal", "full")
    assert "one.zarr holds no complete signal" in texts(at)
    for page in ("heads", "head", "compare", "library"):
        at = open_page(page)
        assert not at.exception
        assert not at.error, at.error[0].value


@pytest.mark.parametrize(("thing", "words"), [("question", "full, 62.8 samples"), ("signal", "full")])
def test_a_store_that_cannot_be_written_says_so_and_loses_nothing(
    thing: str,
    words: str,
    two_answers: Path,  # noqa: F811
    open_page: OpenPage,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: Any) -> None:
        raise PermissionError(13, "Permission denied", str(two_answers))

    for name in ("remove_groups", "remove_signal"):
        monkeypatch.setattr(deleting, name, refuse)
    at = delete(open_page("library"), thing, words)
    assert "permission denied; choose another place" in at.error[0].value
    assert periods(two_answers) == {62.8, 100.0}
    assert "full" in open_store(two_answers).signal.values


def test_a_store_that_another_process_writes_to_is_left_alone_in_one_line(
    two_answers: Path,  # noqa: F811
    open_page: OpenPage,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: Any) -> None:
        raise StoreError("another process is building it; wait until it ends")

    monkeypatch.setattr(deleting, "remove_signal", refuse)
    at = delete(open_page("library"), "signal", "full")
    assert "wait until it ends" in at.error[0].value
    assert periods(two_answers) == {62.8, 100.0}


def _about_signal(weights: Path, signal: Signal) -> xr.Dataset:
    verdict = made(weights, "full")
    facts = {"signal": signal.name, "series_sha256": series_hash(signal.values)}
    return vschema.with_facts(verdict, question=vschema.facts(verdict, "question") | facts)
