"""python -m vitime_cache build | ask | info | verify | export | train | signals | app."""

from __future__ import annotations

import argparse
import errno
import gc
import os
import signal
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from threading import current_thread, main_thread
from types import ModuleType
from typing import Any

from vitime_cache._version import __version__
from vitime_cache.cli import app, ask, build, console, export, info, signals, train, verify
from vitime_cache.cli.signs import plain_signs
from vitime_cache.errors import Note, VitimeError, in_words
from vitime_cache.extras import remedy
from vitime_cache.shown import terminal
from vitime_cache.threads import WAITING

PROGRAM = "python -m vitime_cache"
COMMANDS: dict[str, ModuleType] = {
    "build": build, "ask": ask, "info": info, "verify": verify, "export": export, "signals": signals, "train": train,
    "app": app,
}  # fmt: skip


# Number of new objects after which Python looks for reference cycles. Libraries and large stores make millions that
# last: looking through them as often as it does by default takes a sixth of a command's start.
OBJECTS = 50_000


_MORE = "close other programs, or use a machine with more"


# What asks a command to end, beside Ctrl-C: `kill`, and a closed terminal, which Windows has no signal for.
ENDINGS = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))


class Interruption(KeyboardInterrupt):
    """A signal of `ENDINGS`, by its number: it ends a command in the same way as Ctrl-C."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; 0 for success, 1 for an error or a store that is not sound, 128 + the signal that ended it."""
    gc.set_threshold(OBJECTS)
    for name, value in WAITING.items():
        os.environ.setdefault(name, value)
    plain_signs()
    args = parsed(sys.argv[1:] if argv is None else argv)
    try:
        with _endings_interrupt(), _notes_in_lines():
            status = int(args.command.run(args))
        sys.stdout.flush()
        return status
    except KeyboardInterrupt as error:
        kept = getattr(args, "after_interrupt", args.command.AFTER_INTERRUPT)  # set by a command that knows more
        with suppress(OSError):  # of a terminal that was closed
            console.errors.print(f"interrupted. {kept}".strip())
        return 128 + (error.args[0] if isinstance(error, Interruption) else signal.SIGINT)
    except VitimeError as error:
        console.errors.print(f"error: {error}")
    except ImportError as error:
        if not (missing := remedy(error) or _lacking(error, args)):
            raise
        console.errors.print(f"error: {missing}")
    except OSError as error:
        if _reader_is_gone(error):
            return 128 + getattr(signal, "SIGPIPE", 13)  # Windows has no name for it
        console.errors.print(f"error: {_lacking(error, args) or in_words(error)}")
    except (RuntimeError, MemoryError) as error:
        if not (missing := _lacking(error, args)):
            raise  # a defect: the traceback helps
        console.errors.print(f"error: {missing}")
    return 1


@contextmanager
def _endings_interrupt() -> Iterator[None]:
    if current_thread() is not main_thread():  # other threads cannot handle signals
        yield
        return

    def interrupt(number: int, _: object) -> None:
        raise Interruption(number)

    # `nohup` has a closed terminal ignored.
    before = {each: signal.signal(each, interrupt) for each in ENDINGS if signal.getsignal(each) != signal.SIG_IGN}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


@contextmanager
def _notes_in_lines() -> Iterator[None]:
    """Print each `Note`, such as what was left out of a file, on its own line."""

    def show(message: Warning | str, category: type[Warning], *place: Any, **more: Any) -> None:
        if issubclass(category, Note):
            console.errors.print(f"note: {message}")
        else:
            before(message, category, *place, **more)

    with warnings.catch_warnings():
        before = warnings.showwarning
        warnings.simplefilter("always", Note)
        warnings.showwarning = show
        yield


def _reader_is_gone(error: OSError) -> bool:
    """Whether the output pipe is closed, as after `| head`; this is not an error."""
    if not isinstance(error, BrokenPipeError):
        return False
    try:
        print(flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python flushes once more at exit
        return True
    return False


def _lacking(error: RuntimeError | MemoryError | ImportError | OSError, args: argparse.Namespace) -> str:
    """What the machine or the device has too little of, and what to do; "" for any other error.

    For memory torch raises RuntimeError, and where not even its libraries fit ImportError or OSError.
    """
    told = f"{type(error).__name__} {error}"
    if "failed to map segment" in told:
        return f"the machine is out of memory; {_MORE}"
    if isinstance(error, MemoryError) or "DefaultCPUAllocator" in told or getattr(error, "errno", None) == errno.ENOMEM:
        return f"the machine is out of memory; {_relief(args)}"
    if any(sign in told for sign in ("out of memory", "OutOfMemory", "ALLOC_FAILED")):
        return f"the device is out of memory; {_relief(args)}"
    threads = "can't start new thread" in told
    return "the machine allows no more threads; close other programs, or raise the limit (ulimit -u)" if threads else ""


def _relief(args: argparse.Namespace) -> str:
    """Flags of this command that would reduce the memory it needs."""
    flags = vars(args)
    less = {
        "a smaller --batch-size": flags.get("batch_size", 1) != 1,
        "fewer --workers": bool(flags.get("workers")),
        "--dtype float16": flags.get("dtype") == "float32",
    }
    useful = [words for words, would_help in less.items() if would_help]
    return f"use {' or '.join(useful)}" if useful else _MORE


def _sentence(purpose: str) -> str:
    return f"{purpose[0].upper()}{purpose[1:]}{'' if purpose.endswith('?') else '.'}"


def parsed(argv: Sequence[str]) -> argparse.Namespace:
    """The arguments of one command, with its module as `command` and its name as `name`."""
    parser = argparse.ArgumentParser(PROGRAM, description="Run a ViTime model and keep its attention.")
    parser.add_argument("--version", action="version", version=f"vitime-cache {__version__}")
    commands = parser.add_subparsers(required=True, metavar="command")
    parsers = {}
    for name, module in COMMANDS.items():
        parsers[name] = commands.add_parser(
            name, help=module.PURPOSE, description=_sentence(module.PURPOSE),
            epilog=f"example: {PROGRAM} {name} {module.EXAMPLE}".rstrip(),
        )  # fmt: skip
        # Flags may need a heavy import, so only the requested command adds its own.
        if name in argv[:1]:
            module.add_arguments(parsers[name])
        parsers[name].set_defaults(command=module, name=name)
    args, unknown = parser.parse_known_args(argv)
    if unknown:
        parsers[args.name].error(terminal(f"unrecognized arguments: {' '.join(unknown)}"))
    return args
