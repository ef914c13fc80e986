"""Bounds on the sizes that a store states, checked before anything is allocated.

A few bytes of JSON can ask for a billion layers. The bounds leave room for 20 times the published model. A build obeys
them too, so it never writes a store that cannot be read.
"""

from __future__ import annotations

from vitime_cache.model.config import ViTimeConfig
from vitime_cache.store.objects import StoreError

MOST_LAYERS = 512
MOST_TOKENS = 2**16
MOST_SIGNAL_BYTES = 256 * 2**20  # of the attention of one signal without token maps
MOST_SIGNALS = 10_000_000
MOST_TIME = 2_000_000  # history and horizon of the longest series that can be read
MOST_COMPONENTS = 1000
MOST_ATTRIBUTES = 10_000  # a build writes ten; xarray takes most of a minute for a million


def check_config(config: ViTimeConfig) -> None:
    """Check that a store can hold the attention of a model.

    Raises
    ------
    StoreError
        Naming what is too large.
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
            raise StoreError(f"a model with {number:,} {what} is beyond the {most:,} that a store can hold")


def check_lengths(signals: int, n_time: int, n_components: int) -> None:
    """Check the lengths of axes; StoreError naming an axis that is too long for any signals."""
    for what, number, most in (
        ("signals", signals, MOST_SIGNALS),
        ("samples", n_time, MOST_TIME),
        ("harmonics", n_components, MOST_COMPONENTS),
    ):
        if not 0 <= number <= most:
            raise StoreError(f"an axis of {number:,} {what} is beyond the {most:,} that a store can hold")
