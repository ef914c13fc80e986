"""The queue for the model, by a clock of the test's own: who goes first, and what those who wait are told."""

from __future__ import annotations

import threading
from contextlib import ExitStack

import pytest
from hypothesis import given
from hypothesis import strategies as some

from vitime_cache.ui.processes.line import FIRST_LEVELS, OTHER_LEVELS, SERIES, Line, Turn, about


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Runs:
    """Runs that a test lets come, begin and end, without threads."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.line = Line(self.clock)
        self.waiting: list[Turn] = []
        self.running: list[Turn] = []

    def come(self, kind: str, rank: int) -> Turn:
        turn = Turn(kind, rank, self.line.number())
        self.line._waiting.append(turn)
        self.waiting.append(turn)
        return turn

    def begin(self) -> Turn | None:
        """Let the next one begin, if any may."""
        for turn in self.waiting:
            if self.line.begins(turn):
                self.waiting.remove(turn)
                self.running.append(turn)
                return turn
        return None

    def end(self, turn: Turn, after: float) -> None:
        self.clock.now += after
        turn.finished = True
        self.line._leave(turn)
        self.running.remove(turn)


@pytest.fixture
def runs() -> Runs:
    return Runs()


def test_short_runs_go_before_long_ones_and_each_kind_first_come_first_served(runs: Runs) -> None:
    one, two = runs.come("q", OTHER_LEVELS), runs.come("q", OTHER_LEVELS)
    three, four = runs.come("s", SERIES), runs.come("s", SERIES)
    order = []
    for _ in range(4):
        turn = runs.begin()
        assert turn is not None
        assert runs.begin() is None or turn in (one, two)
        order.append(turn)
        runs.end(turn, 0)
    assert order == [three, four, one, two]


def test_a_short_run_goes_in_between_a_long_one_but_no_second_long_one_does(runs: Runs) -> None:
    long = runs.come("q", OTHER_LEVELS)
    assert runs.begin() is long
    runs.come("q", OTHER_LEVELS)
    assert runs.begin() is None
    short = runs.come("s", SERIES)
    assert runs.begin() is short
    assert runs.line.in_between(long)
    runs.come("s", SERIES)
    assert runs.begin() is None, "one short run at a time"
    runs.end(short, 1)
    assert not runs.line.in_between(long)


def test_a_series_goes_in_between_the_first_levels_of_a_question_that_go_in_between_another_ones(runs: Runs) -> None:
    other, first, series = (runs.come("r", rank) for rank in (OTHER_LEVELS, FIRST_LEVELS, SERIES))
    assert runs.begin() is series
    runs.end(series, 0)
    assert runs.begin() is first
    runs.end(first, 0)
    assert runs.begin() is other
    again = runs.come("r", FIRST_LEVELS)
    assert runs.begin() is again
    inmost = runs.come("r", SERIES)
    assert runs.begin() is inmost
    assert runs.line.in_between(other)
    assert runs.line.in_between(again)
    runs.end(inmost, 3)
    runs.end(again, 4)
    assert (again.away, other.away) == (0, 7), "what one of its runs in between took is counted once"


@pytest.mark.parametrize(("took", "owed"), [(5, 5), (100, 10)])
def test_between_two_short_runs_a_long_one_has_as_much_time_as_they_took_but_ten_seconds_at_most(
    took: float, owed: float, runs: Runs
) -> None:
    runs.come("q", OTHER_LEVELS)
    first, second = runs.come("s", SERIES), runs.come("s", SERIES)
    assert runs.begin() is first
    runs.end(first, took)
    long = runs.begin()
    assert long is not None
    assert long.rank == OTHER_LEVELS
    assert runs.line.seconds(second) == owed
    runs.clock.now += owed - 0.1
    assert runs.begin() is None
    runs.clock.now += 0.2
    assert runs.begin() is second


def test_short_runs_that_held_nobody_up_are_followed_by_others_at_once(runs: Runs) -> None:
    first = runs.come("s", SERIES)
    runs.begin()
    runs.end(first, 50)
    second = runs.come("s", SERIES)
    runs.come("q", OTHER_LEVELS)
    assert runs.begin() is second


@given(some.lists(some.floats(0.1, 10), min_size=1, max_size=30))
def test_a_long_run_has_half_of_the_time_however_many_runs_of_a_few_seconds_come(lengths: list[float]) -> None:
    runs = Runs()
    long = runs.come("q", OTHER_LEVELS)
    runs.begin()
    shorts = 0.0
    for length in lengths:
        runs.come("s", SERIES)
        while (turn := runs.begin()) is None:
            runs.clock.now += 0.05
        runs.end(turn, length)
        shorts += length
        assert runs.clock.now - shorts >= shorts - length - 1e-6
    assert not runs.line.in_between(long)


def test_a_wait_is_told_by_runs_before_and_where_there_were_none_that_it_is_not_known(runs: Runs) -> None:
    short = runs.come("s", SERIES)
    runs.begin()
    next_one, last = runs.come("s", SERIES), runs.come("s", SERIES)
    assert "number 1 in line: waiting time unknown" in runs.line.words(next_one)
    runs.end(short, 40)
    runs.begin()
    runs.clock.now += 10
    assert runs.line.words(last) == "waiting for the model, number 1 in line: about 30 s"
    long = runs.come("q", OTHER_LEVELS)
    assert runs.line.words(long) == "waiting for the model, number 2 in line: about 70 s"
    assert runs.line.seconds(last) == pytest.approx(30 + 10), "a long run waits now, which has its time in between"


def test_a_long_run_under_way_tells_by_its_share_how_long_it_takes_without_the_time_that_others_took(
    runs: Runs,
) -> None:
    long = runs.come("q", OTHER_LEVELS)
    runs.begin()
    long.tell(0.5)  # where its first levels ended
    other = runs.come("q", OTHER_LEVELS)
    assert runs.line.seconds(other) is None
    runs.clock.now += 10
    short = runs.come("s", SERIES)
    runs.begin()
    runs.end(short, 7)
    long.tell(0.75)
    assert runs.line.seconds(other) == pytest.approx(10)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(None, "unknown"), (0, "a few seconds"), (44, "about 40 s"), (100, "about 2 min"), (7200, "about 2 h")],
)
def test_times_are_told_as_roughly_as_they_are_known(seconds: float | None, words: str) -> None:
    assert words in about(seconds)


def test_who_stops_waiting_leaves_the_line() -> None:
    line = Line()
    with ExitStack() as stack:
        stack.enter_context(line.wait_for(Turn("q", OTHER_LEVELS, line.number()), lambda _: None))

        def impatient(_: str) -> None:
            raise InterruptedError

        left = Turn("q", OTHER_LEVELS, line.number())
        with pytest.raises(InterruptedError), line.wait_for(left, impatient):
            pytest.fail("it was not its turn")
    with line.wait_for(Turn("q", OTHER_LEVELS, line.number()), lambda _: pytest.fail("nobody is before it")):
        pass


def test_threads_that_wait_go_one_after_the_other() -> None:
    line, order, inside = Line(), [], []

    def run(turn: Turn) -> None:
        with line.wait_for(turn, lambda _: None):
            inside.append(turn)
            assert len(inside) == 1
            order.append(turn.number)
            inside.remove(turn)

    threads = [threading.Thread(target=run, args=(Turn("q", OTHER_LEVELS, line.number()),)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(order) == list(range(1, 9))
