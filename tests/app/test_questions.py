"""Questions on their way: who may stop one, and what those who wait for the model are told."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
import xarray as xr
from streamlit.testing.v1 import AppTest

from tests.app.test_pages import texts
from vitime_cache.evidence.verdict import schema
from vitime_cache.evidence.verdict.mock import mock_verdict
from vitime_cache.ui import question_form, questions
from vitime_cache.ui.questions import RunningQuestion

OpenPage = Callable[..., AppTest]
PLACE = "waiting for the model, number 2 in line: about 40 s"


class BusyEngine:
    """Stands in for the model's process, which others keep busy."""

    def __init__(self) -> None:
        self.free = threading.Event()

    def __call__(self) -> BusyEngine:
        return self

    def ask(self, *asked: Any) -> xr.Dataset:
        progress = asked[5]
        while not self.free.wait(0.02):
            progress(0.0, PLACE)
        raise InterruptedError


@pytest.fixture
def busy(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    engine = BusyEngine()
    monkeypatch.setattr(questions, "engine", engine)
    yield
    engine.free.set()


def asked() -> RunningQuestion:
    (question,) = questions.known().values()
    return question


def stops(at: AppTest) -> list[Any]:
    return [button for button in at.button if button.label == "Stop"]


def until_ended(question: RunningQuestion) -> None:
    end = time.monotonic() + 60
    while not question.ended:
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.usefixtures("store", "busy")
def test_only_who_asked_can_stop_a_question_and_others_see_its_place_in_the_line(open_page: OpenPage) -> None:
    mine = open_page("ask", signal="harmonic_63")
    mine.button(key="ask").click().run()
    question, yours = asked(), open_page("ask", signal="harmonic_63")
    time.sleep(0.1)
    for at in (mine.run(), yours.run()):
        assert not at.exception
        assert any(PLACE in each.proto.text for each in at.get("progress"))
    assert not stops(yours)
    question.leave("another session's token")
    assert question.asked_by
    stops(mine)[0].click().run()
    until_ended(question)
    assert "stopped before it was answered" in mine.run().info[0].value
    assert "stopping" not in texts(mine)


@pytest.mark.usefixtures("busy")
def test_a_question_under_other_weights_is_not_shown_where_another_store_took_the_place_of_its_own(
    store: Path, built_by_another: Path, open_page: OpenPage
) -> None:
    open_page("ask", signal="full").button(key="ask").click().run()
    shutil.rmtree(store)
    shutil.copytree(built_by_another, store)
    at = open_page("ask", signal="full")
    assert "Weights **other**" in texts(at)
    assert not at.get("progress")


@pytest.mark.usefixtures("store", "busy")
def test_a_question_that_two_sessions_asked_goes_on_when_one_of_them_stops(open_page: OpenPage) -> None:
    mine = open_page("ask", signal="harmonic_63")
    yours = open_page("ask", signal="harmonic_63")  # both pages show the button
    mine.button(key="ask").click().run()
    yours.button(key="ask").click().run()
    question = asked()
    stops(mine)[0].click().run()
    assert not stops(mine)
    assert question.step == PLACE
    stops(yours.run())[0].click().run()
    until_ended(question)


@pytest.mark.usefixtures("store", "busy")
def test_who_asked_stops_a_question_after_a_reload_and_a_link_to_it_stops_nothing(open_page: OpenPage) -> None:
    before = open_page("ask", signal="harmonic_63")
    before.button(key="ask").click().run()
    address = {name: "".join(value) for name, value in before.query_params.items()}
    assert set(address) >= {"q", questions.BY}
    linked = open_page("ask", q=address["q"])
    assert len(linked.get("progress")) == 1
    assert not stops(linked)
    for odd in ("", "1", "0" * 32, address[questions.BY].upper() + "0"):
        assert not stops(open_page("ask", q=address["q"], by=odd))
    after = open_page("ask", **address)
    stops(after)[0].click().run()
    until_ended(asked())
    assert "stopped before it was answered" in before.run().info[0].value


@pytest.mark.parametrize(
    ("other", "goes_on"),
    [
        ({}, True),
        ({"seed": 1}, False),
        ({"level": 0.01}, False),
        ({"period_from": "proposed"}, False),
        ({"heads": [["decoder.0", 1]]}, False),
        ({"history": 256}, False),
        ({"levels": ["influence", "mechanism", "set"]}, False),
        ({"budget": 5.0}, True),
        ({"budget": 6.0}, False),
    ],
)
def test_a_form_shows_only_what_the_run_will_go_on_from(
    monkeypatch: pytest.MonkeyPatch, other: dict[str, Any], goes_on: bool
) -> None:
    found = mock_verdict()
    question = schema.facts(found, "question")
    window = Mock(history=question["history"], horizon=question["horizon"])
    found = schema.with_facts(found, question=question | other)
    monkeypatch.setattr(question_form, "known_verdicts", lambda _: {question["period"]: found})
    shown = question_form._answered_so_far(Mock(), question["period"], window, {"budget": 5.0})
    assert (shown is found) == goes_on
    assert question_form._answered_so_far(Mock(), question["period"] + 1, window, {}) is None
