"""The Evidence page: asking a question, its way to an answer, what is shown of a verdict, and badges elsewhere."""

from __future__ import annotations

import queue
import re
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import streamlit as st
import xarray as xr
from streamlit.testing.v1 import AppTest

from tests.app.conftest import SMALL
from vitime_cache.errors import VitimeError
from vitime_cache.evidence.verdict import schema as v
from vitime_cache.evidence.verdict.mock import mock_verdict
from vitime_cache.model.checkpoint import peek
from vitime_cache.series.sources import Signal
from vitime_cache.store.verdicts import keep_verdict, remove_verdicts, stored_verdicts
from vitime_cache.ui import questions
from vitime_cache.ui.stores import stores

OpenPage = Callable[..., AppTest]


def texts(at: AppTest) -> str:
    """All words of a page."""
    kinds = (at.markdown, at.caption, at.info, at.warning, at.error, at.success)
    return "\n".join(str(element.value) for kind in kinds for element in kind).replace("\N{WORD JOINER}", "")


def charts(at: AppTest) -> list[str]:
    return [element.proto.spec for element in at.get("vega_lite_chart")]


@pytest.fixture
def verdict_kept(store: Path, weights: Path) -> Path:
    """A store that holds a made-up verdict on `full` and its 62.8 samples."""
    config, info = peek(weights)
    assert config == SMALL
    verdict = mock_verdict(SMALL, "full", 62.8)
    question = v.facts(verdict, "question") | {"weights": info.name, "weights_sha256": info.sha256}
    keep_verdict(store, v.with_facts(verdict, question=question))
    return store


def answered(at: AppTest, patience: float = 240) -> AppTest:
    """Wait until no question is under way, and show the page again."""
    end = time.monotonic() + patience
    while any(not each.ended for each in questions.known().values()) and time.monotonic() < end:
        time.sleep(0.5)
    return at.run()


@pytest.mark.usefixtures("verdict_kept")
def test_a_verdict_is_shown_with_its_sentences_its_heads_and_the_picture_behind_each_rung(open_page: OpenPage) -> None:
    at = open_page("evidence", signal="full")
    assert not at.exception
    assert "Made up: one head in each layer passes every rung" in at.success[0].value
    drawn = charts(at)
    assert "What is supported: full" in drawn[0]
    assert "A period of 62.8 samples." in drawn[0]
    assert "Rank correlation of looking with mattering over 12 heads" in drawn[1]
    for words in ("Looks: encoder.0, head 0", "Tracks: encoder.0, head 0", "Matters: encoder.0, head 0"):
        assert any(words in chart for chart in drawn), words
    assert [button.label for button in at.get("download_button")]


@pytest.mark.usefixtures("store")
def test_a_question_proposes_periods_and_shows_the_stretch_it_would_be_asked_on(open_page: OpenPage) -> None:
    at = open_page("evidence", signal="full")
    assert not at.exception
    period = next(number for number in at.number_input if number.label == "Period P, samples")
    assert any(abs(period.value - each) < 1 for each in (62.8, 31.4, 6.28))
    assert "The stretch asked about: full" in charts(at)[0]
    assert re.search(r"Ask which heads look [\d.]+ samples back", at.button(key="ask").label)
    period.set_value(5000.0).run()
    assert not at.exception
    assert "5000 samples" in texts(at)
    assert all(button.key != "ask" for button in at.button), "a period that cannot be seen cannot be asked about"


@pytest.mark.usefixtures("store")
def test_where_no_period_stands_out_the_page_says_against_which_noise_and_asks_for_one(open_page: OpenPage) -> None:
    at = open_page("evidence", signal="white_noise")
    said = "No period of this series stands out of noise. Give the period to ask about."
    assert said in texts(at)


@pytest.mark.usefixtures("store")
def test_a_series_of_ones_own_is_still_there_when_the_page_is_left_and_come_back_to(open_page: OpenPage) -> None:
    at = open_page("evidence", signal="full")
    at.toggle(key="own").set_value(True).run()
    at.switch_page("pages/lags.py").run()
    at.switch_page("pages/evidence.py").run()
    assert at.toggle(key="own").value
    assert "The stretch asked about: composed" in charts(at)[0]


def test_a_question_is_answered_kept_in_the_store_and_found_again(store: Path, open_page: OpenPage) -> None:
    st.cache_resource.clear()
    at = open_page("evidence", signal="harmonic_63")
    at.button(key="ask").click().run()
    assert not at.exception
    other = open_page("lags", signal="harmonic_63")  # the page is left
    assert not other.exception
    at = answered(open_page("evidence", signal="harmonic_63"))
    assert not at.exception
    assert not at.error, at.error[0].value
    assert "What is supported: harmonic_63" in charts(at)[0]
    (kept,) = stored_verdicts(store)
    assert kept.complete
    assert "-badge[" in texts(open_page("lags", signal="harmonic_63", layer="encoder.0", head="0"))


@pytest.mark.usefixtures("store")
def test_a_question_can_be_stopped(open_page: OpenPage) -> None:
    at = open_page("evidence", signal="harmonic_63")
    at.button(key="ask").click().run()
    if stop := [button for button in at.button if button.label == "Stop"]:
        stop[0].click().run()
        at = answered(open_page("evidence", signal="harmonic_63"))
        assert "samples: stopped before it was answered" in texts(at)
        assert at.button(key="ask")


class SlowEngine:
    """Answers with a made-up verdict, a rung at a time, as the test lets it."""

    def __init__(self) -> None:
        self.settings: dict[str, object] = {}
        self.rungs: queue.Queue[str | None] = queue.Queue()
        self.told = threading.Event()

    def __call__(self) -> SlowEngine:
        return self

    def ask(
        self, signal: Signal, period: float, _weights: object, settings: dict[str, object], _store: object,
        progress: Callable[[float, str], None], partial: Callable[[xr.Dataset], None],
    ) -> xr.Dataset:  # fmt: skip
        self.settings = settings
        for i, rung in enumerate(v.RUNGS):
            self.told.set()
            progress(0.25 * i, f"working on {rung}")
            asked_for = self.rungs.get(timeout=60)
            if asked_for is None:
                raise VitimeError("the test is over")
            assert asked_for == rung
            verdict = mock_verdict(SMALL, signal.name, period, stages=v.RUNGS[: i + 1])
            partial(verdict)
        return verdict

    def finish(self, rung: str) -> None:
        """Let it finish a rung, and wait until it works on the next."""
        self.told.clear()
        self.rungs.put(rung)
        if rung != v.RUNGS[-1]:
            assert self.told.wait(60)


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> Iterator[SlowEngine]:
    engine = SlowEngine()
    monkeypatch.setattr(questions, "engine", engine)
    yield engine
    engine.rungs.put(None)


@pytest.mark.usefixtures("store")
def test_a_verdict_is_shown_rung_by_rung_while_its_question_runs_in_this_tab_and_in_another(
    slow: SlowEngine, open_page: OpenPage
) -> None:
    at = open_page("evidence", signal="harmonic_63")
    at.button(key="ask").click().run()
    assert "Nothing is known yet" in texts(at)
    assert "Still to come: descriptive, signal-dependent, tracking, causal." in texts(at)
    assert all(button.key != "ask" for button in at.button), "it is under way"
    slow.finish("descriptive")
    away = open_page("lags", signal="harmonic_63")  # the page is left; nothing of a partial verdict is a badge
    assert any("No verdict on" in link.proto.label for link in away.get("page_link"))
    for tab in (at.run(), open_page("evidence", signal="harmonic_63")):
        assert not tab.exception
        assert "Still to come: signal-dependent, tracking, causal." in texts(tab)
        drawn = charts(tab)
        assert "What is supported: harmonic_63" in drawn[0]
        assert "tracking: not worked on yet" in drawn[0]
        assert any("Looks: encoder.0, head 0" in chart for chart in drawn)
        assert not any(word in chart for chart in drawn for word in ("Tracks:", "Matters:", "against mattering:"))
        assert "partial" not in texts(tab)
        assert "null inputs of a kind" not in texts(tab), "what was not done is not counted"
    slow.finish("signal-dependent")
    assert "Still to come: tracking, causal." in texts(at.run())
    for rung in ("tracking", "causal"):
        slow.finish(rung)
    at = answered(at)
    assert "Still to come" not in texts(at)


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize("limit", [None, 5.0])
def test_a_question_takes_as_long_as_it_takes_or_as_a_person_allows(
    slow: SlowEngine, open_page: OpenPage, limit: float | None
) -> None:
    at = open_page("evidence", signal="harmonic_63")
    if limit is not None:
        at.number_input(key="budget").set_value(limit).run()
    at.button(key="ask").click().run()
    for rung in v.RUNGS:
        slow.finish(rung)
    answered(at)
    assert slow.settings["budget"] == limit


@pytest.mark.usefixtures("store")
def test_what_a_stopped_question_had_found_stays_and_says_what_it_lacks(slow: SlowEngine, open_page: OpenPage) -> None:
    at = open_page("evidence", signal="harmonic_63")
    at.button(key="ask").click().run()
    slow.finish("descriptive")
    at.run()
    next(button for button in at.button if button.label == "Stop").click().run()
    slow.finish("signal-dependent")
    at = answered(at)
    assert not at.exception
    assert "stopped before it was answered" in texts(at)
    assert "nothing is known of tracking, causal. Ask again" in texts(at)
    assert "What is supported: harmonic_63" in charts(at)[0]
    assert at.button(key="ask")
    again = open_page("evidence", signal="harmonic_63")
    assert "nothing is known of tracking, causal. Ask again" in texts(again), "in any tab, and after a reload"


def test_a_question_that_the_store_has_an_answer_to_costs_nothing(store: Path, open_page: OpenPage) -> None:
    at = open_page("evidence", signal="harmonic_63")
    at.button(key="ask").click().run()
    answered(at)
    for _ in range(2):
        at.button(key="ask").click().run()
        began = time.monotonic()
        at = answered(at)
        assert time.monotonic() - began < 3
    assert not at.error
    assert len(stored_verdicts(store)) == 1


@pytest.mark.usefixtures("verdict_kept")
def test_a_new_question_is_looked_at_and_the_verdict_before_it_can_be_again(
    slow: SlowEngine, open_page: OpenPage
) -> None:
    at = open_page("evidence", signal="full")
    next(number for number in at.number_input if number.label == "Period P, samples").set_value(100.0).run()
    at.button(key="ask").click().run()
    slow.finish("descriptive")
    at.run()
    assert "A period of 100 samples" in charts(at)[0]
    picker = at.get("button_group")[0]
    assert not at.exception, picker
    assert "Still to come" in texts(open_page("evidence", signal="full"))
    assert "Still to come" not in texts(open_page("evidence", signal="harmonic_63"))


@pytest.mark.usefixtures("verdict_kept")
def test_other_pages_show_the_verdict_on_a_head_as_badges(open_page: OpenPage) -> None:
    for page in ("lags", "compare"):
        said = texts(open_page(page, signal="full", layer="decoder.0", head="2"))
        assert re.search(r":green-badge\[✓ causal [\d.]+\]", said), page
        assert ":orange-badge[? tracking" in said, page
    said = texts(open_page("heads", signal="full"))
    assert ":green-badge[6 descriptive]" in said
    assert "a period of 62.8 samples" in said


def test_one_head_and_one_mask_are_not_spoken_of_as_several(store: Path, weights: Path, open_page: OpenPage) -> None:
    verdict = mock_verdict(SMALL, "full", 62.8)
    question = v.facts(verdict, "question") | {"weights_sha256": peek(weights)[1].sha256}
    counts = v.facts(verdict, "counts") | {"heads": 1, "controls": 1}
    verdict["asked"][:], verdict["asked"][0, 0] = False, True
    keep_verdict(store, v.with_facts(verdict, question=question, counts=counts))
    assert "Of 1 head asked about" in texts(open_page("heads", signal="full"))
    said = texts(open_page("evidence", signal="full"))
    assert "1 head, 1 window, 99 null inputs of a kind (no p below 0.01)" in said
    assert "1 control mask a head" in said


def test_where_no_period_is_looked_at_the_latest_verdict_is_shown_with_its_own(
    store: Path, weights: Path, open_page: OpenPage
) -> None:
    at = open_page("lags", signal="white_noise", layer="decoder.0", head="0")
    assert any("No verdict on this head yet" in link.proto.label for link in at.get("page_link"))
    verdict = mock_verdict(SMALL, "white_noise", 62.8)
    question = v.facts(verdict, "question") | {"weights_sha256": peek(weights)[1].sha256}
    keep_verdict(store, v.with_facts(verdict, question=question))
    at.run()
    assert at.number_input(key="period_white_noise").value is None
    assert "a period of 62.8 samples: :green-badge" in texts(at)


@pytest.mark.usefixtures("store")
def test_the_proposal_marked_is_the_period_that_is_asked_about(open_page: OpenPage) -> None:
    at = open_page("evidence", signal="full")
    period = next(number for number in at.number_input if number.label == "Period P, samples")
    proposals = next(group for group in at.button_group if "stand out" in group.label)
    assert proposals.value == 0
    proposals.set_value(1).run()
    period = next(number for number in at.number_input if number.label == "Period P, samples")
    assert period.value == pytest.approx(31.4, abs=0.1)
    period.set_value(100.0).run()
    assert next(group for group in at.button_group if "stand out" in group.label).value is None


@pytest.mark.usefixtures("verdict_kept")
def test_heads_can_be_ranked_by_the_figure_of_any_rung(open_page: OpenPage) -> None:
    at = open_page("heads", signal="full", view="Ranked")
    options = at.selectbox(key="measure").options
    assert sum("rung of evidence" in option for option in options) == len(v.RUNGS)
    at.selectbox(key="measure").select("causal_figure").run()
    assert not at.exception
    assert at.dataframe[0].value.iloc[0]["head"] == 0


@pytest.mark.usefixtures("verdict_kept")
def test_a_verdict_on_another_period_or_signal_is_no_badge(open_page: OpenPage) -> None:
    at = open_page("lags", signal="full", layer="decoder.0", head="0")
    at.number_input(key="period_full").set_value(120.0).run()
    assert "causal" not in texts(at)
    assert "causal" not in texts(open_page("lags", signal="harmonic_63", layer="decoder.0", head="0"))


def test_pages_keep_what_they_know_of_a_store_while_verdicts_come_and_go(verdict_kept: Path) -> None:
    def known() -> xr.Dataset:
        return stores()[verdict_kept.name].signal("full")

    before, root = known(), (verdict_kept / "zarr.json").read_bytes()
    remove_verdicts(verdict_kept, [kept.group for kept in stored_verdicts(verdict_kept)])
    assert (verdict_kept / "zarr.json").read_bytes() != root
    assert known() is before


def test_a_damaged_verdict_is_said_and_the_page_goes_on(verdict_kept: Path, open_page: OpenPage) -> None:
    (kept,) = stored_verdicts(verdict_kept)
    for chunk in (verdict_kept / kept.group / "figure").rglob("*"):
        if chunk.is_file() and chunk.name != "zarr.json":
            chunk.write_bytes(b"broken")
    at = open_page("evidence", signal="full")
    assert not at.exception
    assert "damaged" in texts(at)
    assert at.button(key="ask")
