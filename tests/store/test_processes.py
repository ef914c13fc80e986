"""Work on several processes, which are killed at the worst moments."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest

from vitime_cache.store.objects import StoreError
from vitime_cache.store.processes import ATTEMPTS, write_in_processes

PATIENCE = 60  # seconds: for a machine that is busy with other things; nothing here waits as long on its own


@dataclass(frozen=True)
class Named:
    """A signal, as far as its number and name tell."""

    number: int

    @property
    def name(self) -> str:
        return f"n{self.number}"


@dataclass(frozen=True)
class Work:
    """A job that does something with the number of each signal."""

    function: Callable[[int], Any]

    def write(self, batch: dict[int, Named]) -> list:
        return [self.function(one.number) for one in batch.values()]


def spread(count: int, function: Callable[[int], Any], numbers: range) -> list:
    batches = [{number: Named(number)} for number in numbers]
    return [one for done, _ in write_in_processes([Work(function)] * count, batches, lambda: None) for one in done]


def square(number: int) -> int:
    return number * number


def die_once(folder: Path, number: int) -> int:
    """One process dies for each file of the name of its number."""
    file = folder / str(number)
    if file.exists():
        file.unlink()
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def die(number: int) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return number


def say_who_and_sleep(folder: Path, number: int) -> None:
    (folder / str(number)).with_suffix(".part").write_text(str(os.getpid()))
    (folder / str(number)).with_suffix(".part").replace(folder / str(number))
    time.sleep(600)


class CannotBePickledBackError(Exception):
    def __init__(self, one: str, two: str) -> None:
        super().__init__(one + two)


def fail(number: int) -> int:
    if number == 3:
        raise CannotBePickledBackError("three is ", "no good")
    raise StoreError(f"{number} is too much")


class Unwelcome:
    """Work that ends the process which learns of it."""

    def __call__(self) -> None: ...

    def __reduce__(self) -> tuple:
        return os._exit, (7,)


def until(condition, what: str) -> None:
    patience = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < patience, what
        time.sleep(0.02)


def pids(folder: Path, count: int) -> list[int]:
    """Who is at work, as soon as `count` are."""
    until(lambda: len(list(folder.glob("[0-9]"))) == count, f"{count} processes never began")
    return [int(file.read_text()) for file in folder.glob("[0-9]")]


def any_runs(pids: list[int]) -> bool:
    """Whether one of these processes still does something: who has ended may wait for its parent to take notice."""
    for pid in pids:
        with suppress(psutil.NoSuchProcess):
            if psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
                return True
    return False


def test_every_batch_is_done_once():
    assert sorted(spread(3, square, range(5))) == [0, 1, 4, 9, 16]
    assert spread(3, square, range(0)) == []


def test_batches_whose_processes_are_killed_are_done_by_others(tmp_path):
    for number in (0, 1, 4):
        (tmp_path / str(number)).touch()
    assert sorted(spread(2, partial(die_once, tmp_path), range(6))) == list(range(6))
    assert list(tmp_path.iterdir()) == []  # three died


def test_a_batch_that_kills_every_process_is_named():
    with pytest.raises(StoreError, match=f"^{ATTEMPTS} processes died over 'n0'; give them more memory, or fewer --"):
        spread(1, die, range(1))


def test_processes_that_fail_at_their_start_are_not_started_again_for_ever():
    with pytest.raises(StoreError, match=f"^{ATTEMPTS} processes died over 'n0'"):
        spread(1, Unwelcome(), range(1))


@pytest.mark.parametrize(
    ("number", "kind", "message"),
    [(7, StoreError, "^7 is too much"), (3, RuntimeError, "^CannotBePickledBackError: three is no good")],
)
def test_an_error_is_raised_here_with_the_traceback_of_the_worker(number, kind, message):
    with pytest.raises(kind, match=message) as raised:
        spread(1, fail, range(number, number + 1))
    assert any("in fail" in note for note in raised.value.__notes__)


PARENT = """
import sys
from functools import partial
from pathlib import Path
from tests.store.test_processes import say_who_and_sleep, spread
if __name__ == "__main__":
    try:
        spread(2, partial(say_who_and_sleep, Path(sys.argv[1])), range(2))
    except KeyboardInterrupt:
        sys.exit("interrupted")
"""


@pytest.fixture
def parent(tmp_path):
    """A process of its own group, as a terminal starts it, with two workers that are busy for ten minutes."""
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen(
        [sys.executable, script, tmp_path], stderr=subprocess.PIPE, text=True, env=environment, start_new_session=True
    )
    yield process
    process.kill()
    process.communicate()


def test_ctrl_c_ends_busy_processes_at_once_and_they_print_nothing(tmp_path, parent):
    working = pids(tmp_path, 2)
    os.killpg(parent.pid, signal.SIGINT)
    assert parent.communicate(timeout=PATIENCE)[1] == "interrupted\n"
    assert not any_runs(working)


def test_processes_end_with_the_process_that_started_them_even_if_that_is_killed(tmp_path, parent):
    working = pids(tmp_path, 2)
    parent.kill()
    assert parent.communicate(timeout=PATIENCE)[1] == ""
    until(lambda: not any_runs(working), "processes outlive their parent")
