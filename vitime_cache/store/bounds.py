"""How large what a store says of itself may be, before anything is made for it.

A few bytes of JSON can ask for a billion layers. The bounds leave room for 20 times the published model, and are those
of a build, too: what one could not read, the other does not write.
"""

from __future__ import annotations

from vitime_cache.model.config import ViTimeConfig
from vitime_cache.store.objects import StoreError

MOST_LAYERS = 512
MOST_TOKENS = 2**16
MOST_SIGNAL_BYTES = 256 * 2**20  # of the attention of one signal without token maps
MOST_SIGNALS = 10_000_000
MOST_TIME = 2_000_000  # a history and a horizon of the longest series that is read
MOST_COMPONENTS = 1000


def check_config(config: ViTimeConfig) -> None:
    """Refuse a model whose attention a store does not hold.

    Raises
    ------
    StoreError
        Naming what there is too much of.
    """
    layers, (_, columns) = config.encoder_depth + config.decoder_depth, config.grid
    heads = layers * config.heads
    size = 4 * heads * (columns * columns + 2 * columns + config.tokens)
    for what, number, most in (
        ("layers", layers, MOST_LAYERS),
        ("tokens", config.tokens, MOST_TOKENS),
        ("bytes of attention for each signal, without token maps,", size, MOST_SIGNAL_BYTES),
    ):
        if number > most:
            raise StoreError(f"a model with {number:,} {what} is beyond the {most:,} that a store holds")


def check_lengths(signals: int, n_time: int, n_components: int) -> None:
    """Refuse axes that no signals can have made; StoreError naming the axis."""
    for what, number, most in (
        ("signals", signals, MOST_SIGNALS),
        ("samples", n_time, MOST_TIME),
        ("harmonics", n_components, MOST_COMPONENTS),
    ):
        if not 0 <= number <= most:
            raise StoreError(f"an axis of {number:,} {what} is beyond the {most:,} that a store holds")
