"""The weights a config asks for, against those of the network built from it."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import small_config
from vitime_cache.model.config import ConfigError, ViTimeConfig
from vitime_cache.model.network import ViTime
from vitime_cache.model.shapes import check_shapes, weight_shapes


@given(st.integers(1, 3), st.integers(1, 3), st.sampled_from([8, 16, 24]), st.sampled_from([8, 16]), st.integers(1, 4))
@settings(max_examples=25, deadline=None)
def test_the_shapes_are_those_of_the_network(encoder: int, decoder: int, wide: int, narrow: int, rows: int) -> None:
    config = small_config(
        encoder_depth=encoder,
        decoder_depth=decoder,
        encoder_width=wide,
        decoder_width=narrow,
        image_height=8 * rows + 8,
    )
    with torch.device("meta"):
        state = ViTime(config).state_dict()
    assert dict(weight_shapes(config)) == {name: tuple(value.shape) for name, value in state.items()}


def test_a_config_that_asks_for_more_than_any_file_has_is_refused_at_once() -> None:
    found = dict(weight_shapes(small_config()))
    with pytest.raises(ConfigError, match=r"lacks the weight 'blocks\.2\.norm1\.weight'"):
        check_shapes(small_config(encoder_depth=10**12), found)
    with pytest.raises(ConfigError, match="'cls_token' has shape"):
        check_shapes(ViTimeConfig.published(1e9), found)
