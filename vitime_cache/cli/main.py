"""python -m vitime_cache build | ask | info | verify | export | train | signals | app."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from types import ModuleType

from vitime_cache._version import __version__
from vitime_cache.cli import app, ask, build, console, export, info, signals, train, verify
from vitime_cache.errors import VitimeError

PROGRAM = "python -m vitime_cache"
COMMANDS: dict[str, ModuleType] = {
    "build": build, "ask": ask, "info": info, "verify": verify, "export": export, "signals": signals, "train": train,
    "app": app,
}  # fmt: skip
INTERRUPTED = 130  # 128 + SIGINT, as shells have it


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; 0 for success, 1 for an error or a store that is not sound, 130 for Ctrl-C."""
    args = _parsed(sys.argv[1:] if argv is None else argv)
    try:
        return int(args.command.run(args))
    except KeyboardInterrupt:
        console.errors.print(f"interrupted. {args.command.AFTER_INTERRUPT}".strip())
        return INTERRUPTED
    except (VitimeError, OSError) as error:
        console.errors.print(f"error: {error}")
    except RuntimeError as error:
        if "out of memory" not in str(error) and type(error).__name__ != "OutOfMemoryError":
            raise  # a defect of ours: the traceback is what helps
        console.errors.print("error: the device is out of memory; use a smaller --batch-size or --dtype bfloat16")
    except MemoryError:
        console.errors.print("error: the machine is out of memory; use a smaller --batch-size or fewer --workers")
    return 1


def _parsed(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(PROGRAM, description="Run a ViTime model and keep its attention.")
    parser.add_argument("--version", action="version", version=f"vitime-cache {__version__}")
    commands = parser.add_subparsers(required=True, metavar="command")
    parsers = {}
    for name, module in COMMANDS.items():
        parsers[name] = commands.add_parser(
            name, help=module.PURPOSE, description=f"{module.PURPOSE[0].upper()}{module.PURPOSE[1:]}.",
            epilog=f"example: {PROGRAM} {name} {module.EXAMPLE}".rstrip(),
        )  # fmt: skip
        # Flags may need a heavy import, so that only the command that was asked for adds its own.
        if name in argv[:1]:
            module.add_arguments(parsers[name])
        parsers[name].set_defaults(command=module, name=name)
    args, unknown = parser.parse_known_args(argv)
    if unknown:
        parsers[args.name].error(f"unrecognized arguments: {' '.join(unknown)}")
    return args
