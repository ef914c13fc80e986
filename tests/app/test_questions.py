"""Questions on their way: who may stop one, and what those who wait for the model are told."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import xarray as xr
from streamlit.testing.v1 import AppTest

from tests.app.test_pages import texts
from vitime_cache.ui import questions
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
