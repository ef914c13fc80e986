"""A process beside this one: what it replies, what goes first in it, and how it ends, hung ones included."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from vitime_cache.child import _START, DIED, ENDS, ERROR, HUNG, LOST, RESULT, STOPPED, Child, Request, Tell

SILENCE = 3.0
PATIENCE = 60.0  # seconds, for a machine that is busy with other things


def add(tell: Tell, one: Any, two: Any) -> Any:  # noqa: ARG001
    return one + two


def fail(tell: Tell) -> None:  # noqa: ARG001
    raise FileNotFoundError("nothing is here")


def die(tell: Tell) -> None:  # noqa: ARG001
    os._exit(3)


def hang(tell: Tell, file: Path) -> None:
    """A main thread that waits for what never comes, while others go on: a deadlock."""
    tell("step", 0)
    file.touch()
    threading.Event().wait()


def hung(child: Child, file: Path) -> Request:
    """A request that waits for what never comes."""
    request = begun(child.begin(hang, file))
    end = time.monotonic() + PATIENCE
    while not file.exists():
        assert time.monotonic() < end
        time.sleep(0.01)
    return request


def work_silently(tell: Tell, seconds: float) -> str:  # noqa: ARG001
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        sum(range(1000))
    return "done"


def count_until(tell: Tell, file: Path) -> str:
    number = 0
    while not file.exists():
        number += 1
        tell("step", number)
        time.sleep(0.05)
    return "counted"


def end_of(request: Request) -> tuple[str, Any]:
    while True:
        reply = request.reply(PATIENCE)
        assert reply is not None, "no reply"
        if reply[0] in ENDS:
            return reply


def begun(request: Request) -> Request:
    """The request once it is worked on."""
    reply = request.reply(PATIENCE)
    assert reply is not None
    assert reply[0] == "step"
    return request


@pytest.fixture
def child() -> Iterator[Child]:
    child = Child()
    yield child
    child.kill()


def watch(child: Child) -> None:
    """Look for signs of life from now on: on a busy machine the start alone may take longer than a test is silent."""
    threading.Thread(target=child._watch, args=(SILENCE,), daemon=True).start()


def variable(tell: Tell, name: str) -> str | None:  # noqa: ARG001
    return os.environ.get(name)


@pytest.mark.parametrize(("set_by_user", "seen"), [({}, "3000"), ({"GOMP_SPINCOUNT": "7"}, "7")])
def test_threads_of_the_process_soon_sleep_where_they_wait_unless_the_user_says_otherwise(
    monkeypatch, set_by_user, seen
):
    monkeypatch.delenv("GOMP_SPINCOUNT", raising=False)
    for name, value in set_by_user.items():
        monkeypatch.setenv(name, value)
    child = Child()
    try:
        assert end_of(child.begin(variable, "GOMP_SPINCOUNT")) == (RESULT, seen)
    finally:
        child.kill()


def test_requests_are_done_in_turn_and_an_error_is_a_reply_with_its_traceback(child: Child) -> None:
    requests = [child.begin(add, number, 1) for number in range(3)]
    assert [end_of(each) for each in requests] == [(RESULT, 1), (RESULT, 2), (RESULT, 3)]
    kind, error = end_of(child.begin(fail))
    assert kind == ERROR
    assert str(error) == "nothing is here"
    assert "in fail" in error.__notes__[0]
    assert end_of(child.begin(add, "a" * 10**6, "b")) == (RESULT, "a" * 10**6 + "b")


def test_a_request_that_comes_while_another_is_worked_on_goes_first(child: Child, tmp_path: Path) -> None:
    long = begun(child.begin(count_until, tmp_path / "end"))
    assert end_of(child.begin(add, 1, 1)) == (RESULT, 2)
    (tmp_path / "end").touch()
    assert end_of(long) == (RESULT, "counted")


def test_a_request_is_stopped_and_the_process_goes_on(child: Child, tmp_path: Path) -> None:
    long = begun(child.begin(count_until, tmp_path / "never"))
    child.stop(long)
    assert end_of(long)[0] == STOPPED
    assert end_of(child.begin(add, 1, 1)) == (RESULT, 2)


def test_a_request_that_does_not_stop_ends_with_its_process(child: Child, tmp_path: Path) -> None:
    hung(child, tmp_path / "hung").leave(patience=0.2)
    assert not child.alive


def test_a_process_works_beside_one_whose_standard_error_is_closed() -> None:
    code = (
        "from tests.test_child import Child, add, end_of; child = Child(); print(end_of(child.begin(add, 1, 1))); "
        "child.kill()"
    )
    shell = [*("sh", "-c", '"$@" 2>&-', "sh"), sys.executable, "-c", code]
    done = subprocess.run(shell, stdout=subprocess.PIPE, text=True, check=True, cwd=Path(__file__).parents[1])
    assert done.stdout.strip() == f"('{RESULT}', 2)"


@pytest.mark.parametrize("how", ["deadlock", "stopped"])
def test_a_process_without_a_sign_of_life_is_ended_for_the_request_it_hangs_over_and_no_other(
    how: str, child: Child, tmp_path: Path
) -> None:
    first = begun(child.begin(count_until, tmp_path / "never"))
    silent = hung(child, tmp_path / "hung")
    if how == "stopped":
        os.kill(child.pid, signal.SIGSTOP)
    waiting = child.begin(add, 1, 1)
    start = time.monotonic()
    watch(child)
    assert [end_of(each)[0] for each in (silent, first, waiting)] == [HUNG, LOST, LOST]
    assert time.monotonic() - start >= SILENCE - 1
    assert not child.alive
    assert end_of(child.begin(add, 1, 1))[0] == LOST


def test_work_that_is_slow_and_tells_nothing_is_left_alone_and_so_is_a_process_without_work(child: Child) -> None:
    assert end_of(child.begin(add, 1, 1)) == (RESULT, 2)
    watch(child)
    assert end_of(child.begin(work_silently, SILENCE + 3)) == (RESULT, "done")
    time.sleep(SILENCE + 2)
    assert child.alive


def test_a_process_that_dies_does_so_over_the_request_it_works_on(child: Child, tmp_path: Path) -> None:
    long = begun(child.begin(count_until, tmp_path / "never"))
    assert end_of(child.begin(die))[0] == DIED
    assert end_of(long)[0] == LOST


def test_a_process_whose_replies_nobody_can_read_ends_without_a_word(tmp_path: Path) -> None:
    start = [sys.executable, "-c", _START.format(path=sys.path)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(start, **pipes) as process:
        assert process.stdin
        assert process.stdout
        assert process.stderr
        pickle.dump((0, pickle.dumps((count_until, (tmp_path / "never",)))), process.stdin)
        process.stdin.flush()
        pickle.load(process.stdout)
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(PATIENCE) == 0
