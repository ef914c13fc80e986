"""What a build is about to write, and whether that fits."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from vitime_cache.store.manifest import Entry, Identity
from vitime_cache.store.objects import Objects, StoreError

MAX_SIZE = 20e9  # bytes, unless --max-size says otherwise


@dataclass(frozen=True)
class Plan:
    """What a build is about to write, before any work.

    Attributes
    ----------
    names
        Signals to be written.
    tokens
        Layers whose token maps are kept of them.
    complete
        How many of the signals asked for are in the store already.
    bytes
        Variable -> bytes before compression.
    free
        Bytes free at the place of the store, None where unknown.
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
        """The plan of writing `entries` beside `complete` others."""
        from vitime_cache.attention.schema import (  # xarray: not before there is something to write
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
                shape = lengths | ({LAYER: layers} if name == TOKEN_ATTENTION else {})
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
        """Raise StoreError if this is more than `max_size` bytes or does not fit the disk, naming what would."""
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
        raise StoreError(
            f"{len(self.names)} signals need up to {self.total / 1e9:.3g} GB in {self.store}, {reason}: "
            + ", ".join(advice)
        )
