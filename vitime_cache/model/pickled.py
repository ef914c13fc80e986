"""Reads a pickle as data: it builds containers, numbers and strings, and never calls what the pickle names.

Python's unpickler runs a file as a program. This module has its own machine with the operations that `torch.save` uses
(pickle protocol 2), in which a class or function is only a name. A call goes to a `Reading`, which knows what the few
names in a torch checkpoint stand for and refuses all others.
"""

from __future__ import annotations

import pickletools
from dataclasses import dataclass
from typing import Any, Protocol

MAX_BYTES = 1_000_000  # the pickle of a ViTime checkpoint has about 50 kB; its tensors are stored separately

_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_VALUES = {"BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE"}
_TUPLES = {"EMPTY_TUPLE": 0, "TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_MARK = object()


class PickleError(ValueError):
    """A pickle that is damaged, or that holds more than plain data."""


class CodeError(PickleError):
    """A pickle that names a class or function that plain data does not need."""


@dataclass(frozen=True)
class Name:
    """A class or function named by the pickle, "module.name"; it is never looked up."""

    text: str


class Reading(Protocol):
    """What names and calls stand for. Each method raises PickleError for anything unknown."""

    def named(self, name: str) -> Name:
        """Read a name in the pickle; CodeError for one that is not allowed."""

    def called(self, name: Name, arguments: tuple[Any, ...]) -> Any:
        """Return what replaces a call."""

    def stored(self, description: Any) -> Any:
        """Return what replaces an object stored outside the pickle."""

    def updated(self, value: Any, state: Any) -> None:
        """Apply a state to an object."""


def read_pickle(data: bytes, reading: Reading) -> Any:
    """Read the content of a pickle.

    Raises
    ------
    PickleError
        If it is damaged, too large, or holds anything but plain data.
    """
    if len(data) > MAX_BYTES:
        raise PickleError(f"a pickle of {len(data):,} bytes, more than {MAX_BYTES:,}")
    machine = _Machine(reading)
    try:
        for opcode, argument, _ in pickletools.genops(data):
            machine.step(opcode.name, argument)
        return machine.stack.pop()
    except (IndexError, KeyError, ValueError, TypeError) as error:
        if isinstance(error, PickleError):
            raise
        raise PickleError(f"a damaged pickle: {error}" if str(error) else "a damaged pickle") from error


class _Machine:
    """A pickle machine: its stack and its memo."""

    def __init__(self, reading: Reading) -> None:
        self.reading = reading
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def step(self, operation: str, argument: Any) -> None:
        """Carry out one operation; IndexError or KeyError if the stack or the memo lacks an operand."""
        stack = self.stack
        match operation:
            case _ if operation in _VALUES:
                if isinstance(argument, int) and abs(argument) >= 2**63:
                    raise PickleError("a whole number of more than 64 bits")
                stack.append(argument)
            case _ if operation in _CONSTANTS:
                stack.append(_CONSTANTS[operation])
            case _ if operation in _TUPLES:
                stack.append(self._pop(_TUPLES[operation]))
            case "MARK":
                stack.append(_MARK)
            case "TUPLE":
                stack.append(self._pop_to_mark())
            case "EMPTY_LIST":
                stack.append([])
            case "EMPTY_DICT":
                stack.append({})
            case "BINPUT" | "LONG_BINPUT":
                self.memo[argument] = stack[-1]
            case "BINGET" | "LONG_BINGET":
                stack.append(self.memo[argument])
            case "APPEND" | "APPENDS":
                items = self._pop(1) if operation == "APPEND" else self._pop_to_mark()
                self._top(list).extend(items)
            case "SETITEM" | "SETITEMS":
                items = self._pop(2) if operation == "SETITEM" else self._pop_to_mark()
                self._set_items(items)
            case "GLOBAL":
                stack.append(self.reading.named(argument.replace(" ", ".", 1)))
            case "REDUCE" | "NEWOBJ":
                name, arguments = self._pop(2)
                if not isinstance(name, Name) or not isinstance(arguments, tuple):
                    raise PickleError("a call of something that is not a function")
                stack.append(self.reading.called(name, arguments))
            case "BUILD":
                (state,) = self._pop(1)
                self.reading.updated(stack[-1], state)
            case "BINPERSID":
                stack.append(self.reading.stored(stack.pop()))
            case "PROTO" | "STOP":
                pass
            case _:
                raise PickleError(f"the operation {operation}, which torch.save does not use")

    def _pop(self, count: int) -> tuple[Any, ...]:
        if count > len(self.stack):
            raise PickleError("a damaged pickle: its stack is empty")
        return tuple(self.stack.pop() for _ in range(count))[::-1]

    def _pop_to_mark(self) -> tuple[Any, ...]:
        items: list[Any] = []
        while (item := self.stack.pop()) is not _MARK:
            items.append(item)
        return tuple(reversed(items))

    def _top(self, kind: type[Any]) -> Any:
        if type(self.stack[-1]) is not kind:
            raise PickleError(f"items added to something that is not a {kind.__name__}")
        return self.stack[-1]

    def _set_items(self, items: tuple[Any, ...]) -> None:
        into = self._top(dict)
        for key, value in zip(items[::2], items[1::2], strict=True):
            if not isinstance(key, str | int | float | None):  # other keys may be slow or impossible to hash
                raise PickleError(f"a {type(key).__name__} as the key of a dict")
            into[key] = value
