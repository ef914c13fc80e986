"""The plan of a build: which attention it will write for which signals, and whether that fits."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

from vitime_cache.model.config import ViTimeConfig
from vitime_cache.series.sources import Signal
from vitime_cache.shown import counted
from vitime_cache.store.manifest import Coordinates, Entry, Identity
from vitime_cache.store.objects import Objects, StoreError

if TYPE_CHECKING:
    from vitime_cache.model.network import ViTime

MAX_SIZE = 20e9  # bytes, unless --max-size says otherwise


class TooLargeError(StoreError):
    """What is to be written does not fit on the disk, or is more than was allowed."""


@dataclass(frozen=True)
class Plan:
    """What a build will write, known before any work.

    Attributes
    ----------
    names
        Signals to be written.
    tokens
        Layers whose token maps are stored for them.
    complete
        Number of the requested signals that are already in the store.
    bytes
        Variable -> bytes before compression.
    free
        Free bytes at the place of the store, None where unknown.
    """

    store: str
    identity: Identity
    names: tuple[str, ...]
    tokens: tuple[str, ...]
    complete: int
    bytes: Mapping[str, int]
    free: int | None

    @classmethod
    def of(cls, objects: Objects, identity: Identity, entries: Sequence[Entry], complete: int) -> Plan:
        """Plan to write `entries`, with `complete` others already there."""
        from vitime_cache.attention.schema import (  # imports xarray: only once there is something to write
            LAYER,
            TOKEN_ATTENTION,
            VARIABLES,
            sizes,
        )

        size = dict.fromkeys(VARIABLES, 0)
        alike = Counter((entry.samples, entry.components, len(entry.tokens)) for entry in entries)
        for (samples, components, layers), count in alike.items():
            lengths = sizes(identity.config, samples, components)
            for name, variable in VARIABLES.items():
                shape = {**lengths, LAYER: layers} if name == TOKEN_ATTENTION else lengths
                numbers = count * math.prod(shape[dimension] for dimension in variable.dims)
                size[name] += numbers * int(variable.dtype.removeprefix("float")) // 8
        names = tuple(entry.name for entry in entries)
        tokens = entries[0].tokens if entries else ()
        return cls(objects.url, identity, names, tokens, complete, size, objects.free_bytes())

    @property
    def total(self) -> int:
        """Bytes of all variables."""
        return sum(self.bytes.values())

    def check(self, max_size: float) -> None:
        """Raise TooLargeError, naming what would fit, for more than `max_size` bytes or than the disk has."""
        limits = [(max_size, f"more than --max-size {max_size / 1e9:g} GB")]
        if self.free is not None:
            limits.append((self.free, f"more than the {self.free / 1e9:.3g} GB that are free there"))
        limit, reason = min(limits)
        if self.total <= limit:
            return
        tokens = self.tokens
        maps = self.bytes.get("token_attention", 0)
        per_layer, rest = maps / max(len(tokens), 1), self.total - maps
        advice = []
        if tokens and (layers := min(int((limit - rest) // per_layer), len(tokens) - 1)) > 0:
            advice.append(f"--tokens {','.join(tokens[-layers:])} ({(rest + layers * per_layer) / 1e9:.3g} GB) fits")
        if tokens and rest <= limit:
            advice.append(f"--tokens none ({rest / 1e9:.3g} GB) fits")
        if not advice:
            advice.append("give fewer signals")
        if limit == max_size:
            advice.append(f"or raise it with --max-size {math.ceil(self.total / 1e9)}")
        raise TooLargeError(
            f"{counted(len(self.names), 'signal')} may take up to {self.total / 1e9:.3g} GB in {self.store}, {reason}: "
            + ", ".join(advice)
        )


def identity_of(model: ViTime | str | Path | None, dtype: str) -> Identity:
    """The identity of a model, read from its file without building the network where possible."""
    from vitime_cache.model.checkpoint import dtype_name, peek

    if isinstance(model, str | Path | None):
        config, weights = peek(model)
    else:
        config, weights = model.config, model.weights
        dtype = dtype_name(model)
    return Identity(weights, config, dtype)


def entry_of(signal: Signal, config: ViTimeConfig, tokens: tuple[str, ...]) -> Entry:
    """The manifest entry of a signal with token maps of these layers."""
    from vitime_cache.attention.schema import COMPLETE, SIGNAL, signal_coordinates

    known = {SIGNAL, COMPLETE}  # the entry has the name; the markers say what is complete
    values = {name: value for name, value in signal_coordinates(signal, config).items() if name not in known}
    return Entry(signal.name, signal.fingerprint, cast("Coordinates", values), len(signal.harmonics), tokens)
