"""The queue for the model: which run is next, the places of the others, and about how long they wait.

Runs have a rank: a series first, then the first levels of a question, then its other levels. Runs of equal rank start
in order of arrival. A run that arrives while one of a later rank is running interrupts it. So that interruptions do not
hold up the long run for ever, it then gets as much time as they took, but at most ten seconds, before the next one.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import median

SERIES, FIRST_LEVELS, OTHER_LEVELS = range(3)  # ranks
REMEMBERED = 8  # latest runs of a kind that give its typical time
MOST_OWED = 10.0  # seconds that a long run gets at most between two short ones
LEAST_SHARE = 0.05  # of a run that must be done before its remaining time is estimated from it
_LOOK = 0.5  # seconds between two reports to a waiting run


@dataclass(eq=False)
class Turn:
    """One run, from its arrival to its end.

    Attributes
    ----------
    kind
        Runs of one kind take about equally long.
    rank
        Lower ranks run first.
    number
        Place in the order of arrival.
    share
        The share done, 0 to 1, as last reported.
    finished
        Whether it ran to its end, so that its time predicts the next one's.
    """

    kind: str
    rank: int
    number: int
    share: float = 0.0
    finished: bool = False
    began: float = 0.0
    away: float = field(default=0.0, repr=False)  # seconds that interrupting runs took
    began_at: float | None = field(default=None, repr=False)  # its first reported share

    def tell(self, share: float) -> None:
        """Record the share done."""
        self.share = share
        if self.began_at is None:
            self.began_at = share


class Line:
    """The queue; thread-safe. Each thread waits for its own turn."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._changed = clock, threading.Condition(threading.RLock())
        self._waiting: list[Turn] = []
        self._running: list[Turn] = []
        self._took: dict[str, deque[float]] = {}
        self._owed_until, self._last = float("-inf"), 0

    def number(self) -> int:
        """A place in the order of arrival, for one turn or for several that belong together."""
        with self._changed:
            self._last += 1
            return self._last

    @contextmanager
    def wait_for(self, turn: Turn, report: Callable[[str], object]) -> Iterator[None]:
        """Wait for a turn and hold it. `report` gets its place while it waits, and leaves the line by an exception."""
        try:
            with self._changed:
                self._waiting.append(turn)
                self._waiting.sort(key=lambda each: each.number)
            while not self.begins(turn, _LOOK):
                report(self.words(turn))
            yield
        finally:
            self._leave(turn)

    def begins(self, turn: Turn, patience: float = 0.0) -> bool:
        """Begin a turn if it becomes the next one within `patience` seconds; return whether it began."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._next() is turn, patience):
                return False
            self._waiting.remove(turn)
            self._running.append(turn)
            turn.began = self._clock()
            self._changed.notify_all()
            return True

    def in_between(self, turn: Turn) -> bool:
        """Whether a shorter run has interrupted this one."""
        return turn in self._running[:-1]

    def words(self, turn: Turn) -> str:
        """The place of a waiting run and its waiting time, in words."""
        with self._changed:
            ahead, seconds = len(self._ahead(turn)), self.seconds(turn)
        return f"waiting for the model, number {ahead + 1} in line: {about(seconds)}"

    def seconds(self, turn: Turn) -> float | None:
        """About how long a run waits; None if a run before it is of a kind that has not been measured yet."""
        with self._changed:
            known = [self._remaining(each) for each in self._running if each.rank <= turn.rank]
            known += [self._typical(each.kind) for each in self._ahead(turn)]
            if None in known:
                return None
            took = [each for each in known if each is not None]
            owed = max(self._owed_until - self._clock(), 0.0) + sum(min(each, MOST_OWED) for each in took)
            return sum(took) + (owed if self._holds_up(turn) else 0.0)

    def _next(self) -> Turn | None:
        owed = self._clock() < self._owed_until
        for turn in sorted(self._waiting, key=lambda each: (each.rank, each.number)):
            if self._running and turn.rank >= self._running[-1].rank:
                return None
            if not (owed and self._holds_up(turn)):
                return turn
        return None

    def _ahead(self, turn: Turn) -> list[Turn]:
        """The waiting runs that come before this one."""
        return [each for each in self._waiting if (each.rank, each.number) < (turn.rank, turn.number)]

    def _holds_up(self, turn: Turn) -> bool:
        """Whether a run of a later rank is running or waiting."""
        return any(each.rank > turn.rank for each in (*self._running, *self._waiting))

    def _remaining(self, turn: Turn) -> float | None:
        lasted = self._clock() - turn.began - turn.away
        began_at = turn.began_at or 0.0
        done = (turn.share - began_at) / (1 - began_at) if began_at < 1 else 0.0
        if done >= LEAST_SHARE and turn.rank == OTHER_LEVELS:  # the shares of other ranks count more than their turn
            return lasted * (1 - done) / done
        typical = self._typical(turn.kind)
        return None if typical is None else max(typical - lasted, 0.0)

    def _typical(self, kind: str) -> float | None:
        return median(self._took[kind]) if kind in self._took else None

    def _leave(self, turn: Turn) -> None:
        with self._changed:
            if turn in self._waiting:
                self._waiting.remove(turn)
            else:
                self._running.remove(turn)
                took = self._clock() - turn.began
                if turn.finished:
                    self._took.setdefault(turn.kind, deque(maxlen=REMEMBERED)).append(took - turn.away)
                if self._holds_up(turn):
                    self._owed_until = self._clock() + min(took, MOST_OWED)
                if self._running:
                    self._running[-1].away += took
                turn.away = 0.0
            self._changed.notify_all()


def about(seconds: float | None) -> str:
    """A time to wait, in words."""
    if seconds is None:
        return "waiting time unknown, as no such run has finished yet"
    if seconds < 10:
        return "a few seconds"
    if seconds < 90:
        return f"about {10 * round(seconds / 10)} s"
    return f"about {round(seconds / 60)} min" if seconds < 5400 else f"about {round(seconds / 3600)} h"
