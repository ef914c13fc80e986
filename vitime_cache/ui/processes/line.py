"""The queue for the model: who runs next, at which place the others are, and about how long they wait.

Runs have a rank: a series first, then the first levels of a question, then its other levels. Those of one rank go in
the order in which they came. One that comes while another of a later rank is under way goes in between. So that runs in
between do not hold it up for ever, it then has as much time as they took, or ten seconds, before the next begins.
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
REMEMBERED = 8  # runs of a kind that its time is taken from
MOST_OWED = 10.0  # seconds that a long run has between two short ones
LEAST_SHARE = 0.05  # of a run that its remaining time is taken from
_LOOK = 0.5  # seconds between two words to who waits


@dataclass(eq=False)
class Turn:
    """One run, from its coming to its end.

    Attributes
    ----------
    kind
        Runs of one kind take about equally long.
    rank
        Who goes first.
    number
        Place in the order of coming.
    share
        How much of it is done, 0 to 1, as far as it has told.
    finished
        Whether it came to its end, so that its time says something of the next one.
    """

    kind: str
    rank: int
    number: int
    share: float = 0.0
    finished: bool = False
    began: float = 0.0
    away: float = field(default=0.0, repr=False)  # seconds that runs in between took
    began_at: float | None = field(default=None, repr=False)  # its share when it first told

    def tell(self, share: float) -> None:
        """Note how much is done."""
        self.share = share
        if self.began_at is None:
            self.began_at = share


class Line:
    """Safe to use from many threads, each of which waits for its own turn."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._changed = clock, threading.Condition(threading.RLock())
        self._waiting: list[Turn] = []
        self._running: list[Turn] = []
        self._took: dict[str, deque[float]] = {}
        self._owed_until, self._last = float("-inf"), 0

    def number(self) -> int:
        """A place in the order of coming, for one turn or for several that belong together."""
        with self._changed:
            self._last += 1
            return self._last

    @contextmanager
    def wait_for(self, turn: Turn, told: Callable[[str], object]) -> Iterator[None]:
        """The turn's time with the model; `told` hears its place meanwhile, and leaves the line by an exception."""
        try:
            with self._changed:
                self._waiting.append(turn)
                self._waiting.sort(key=lambda each: each.number)
            while not self.begins(turn, _LOOK):
                told(self.words(turn))
            yield
        finally:
            self._leave(turn)

    def begins(self, turn: Turn, patience: float = 0.0) -> bool:
        """Begin a turn if it is the next one within so many seconds."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._next() is turn, patience):
                return False
            self._waiting.remove(turn)
            self._running.append(turn)
            turn.began = self._clock()
            self._changed.notify_all()
            return True

    def in_between(self, turn: Turn) -> bool:
        """Whether a shorter run goes before one that has begun."""
        return turn in self._running[:-1]

    def words(self, turn: Turn) -> str:
        """Where a waiting run stands."""
        with self._changed:
            ahead, seconds = len(self._ahead(turn)), self.seconds(turn)
        return f"waiting for the model, number {ahead + 1} in line: {about(seconds)}"

    def seconds(self, turn: Turn) -> float | None:
        """About how long a run waits; None where one before it is of a kind that has not been measured yet."""
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
        """Who is waiting and comes first."""
        return [each for each in self._waiting if (each.rank, each.number) < (turn.rank, turn.number)]

    def _holds_up(self, turn: Turn) -> bool:
        """Whether one of a later rank is there."""
        return any(each.rank > turn.rank for each in (*self._running, *self._waiting))

    def _remaining(self, turn: Turn) -> float | None:
        lasted = self._clock() - turn.began - turn.away
        began_at = turn.began_at or 0.0
        done = (turn.share - began_at) / (1 - began_at) if began_at < 1 else 0.0
        if done >= LEAST_SHARE and turn.rank == OTHER_LEVELS:  # what others tell is a share of something longer
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
        return "how long is not known, as no such run has ended yet"
    if seconds < 10:
        return "a few seconds"
    if seconds < 90:
        return f"about {10 * round(seconds / 10)} s"
    return f"about {round(seconds / 60)} min" if seconds < 5400 else f"about {round(seconds / 3600)} h"
