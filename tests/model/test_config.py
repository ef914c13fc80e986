from __future__ import annotations

import pytest

from tests.conftest import small_config
from vitime_cache.model.config import ConfigError, ViTimeConfig


def test_the_defaults_are_the_reference_studys_grid() -> None:
    config = ViTimeConfig()
    assert (config.columns, config.grid, config.tokens) == (2464, (32, 77), 2464)
    assert config.layers[0] == "encoder.0"
    assert config.layers[-1] == "decoder.5"


@pytest.mark.parametrize(
    ("size", "heads", "depth", "width"), [(0.5, 8, 6, 512), (0.75, 12, 9, 768), (1.0, 16, 12, 1024)]
)
def test_published_sizes_follow_from_one_number(size: float, heads: int, depth: int, width: int) -> None:
    config = ViTimeConfig.published(size)
    assert (config.heads, config.encoder_depth, config.encoder_width) == (heads, depth, width)
    assert (config.decoder_depth, config.decoder_width) == (depth // 2, width // 2)


def test_a_config_survives_the_way_through_json_metadata() -> None:
    config = small_config(mu_norm=2.0, output="sigmoid")
    assert ViTimeConfig.from_dict(config.to_dict()) == config


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"heads": 3}, "encoder_width 16 is not a multiple of heads 3"),
        ({"patch_height": 5}, "image_height 16 is not a multiple of patch_height 5"),
        ({"patch_width": 5}, "columns 48 is not a multiple of patch_width 5"),
        ({"encoder_depth": 0}, "encoder_depth must be a whole number"),
        ({"encoder_depth": True}, "encoder_depth must be a whole number"),
        ({"value_range": float("nan")}, "value_range"),
        ({"mu_norm": -1.0}, "mu_norm"),
        ({"output": "relu"}, "'relu'"),
        ({"image_height": 8}, "at least 16"),
        ({"encoder_width": 18}, "multiple of 4"),
    ],
)
def test_an_impossible_config_is_refused_naming_the_field(changes: dict[str, object], named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        small_config(**changes)


def test_an_unknown_or_missing_field_is_named() -> None:
    values = small_config().to_dict()
    with pytest.raises(ConfigError, match="unknown config field 'colour'"):
        ViTimeConfig.from_dict({**values, "colour": 1})
    del values["heads"]
    with pytest.raises(ConfigError, match="lacks heads"):
        ViTimeConfig.from_dict(values)


def test_layers_are_selected_in_the_order_of_execution() -> None:
    config = small_config()
    assert config.select_layers(["decoder.0", "encoder.1"]) == ("encoder.1", "decoder.0")
    assert config.select_layers("decoder.0") == ("decoder.0",)
    assert config.select_layers("all") == config.layers
    assert config.select_layers("none") == config.select_layers(()) == ()
    with pytest.raises(ConfigError, match=r"no layer 'decoder\.9'; this model has encoder\.0, encoder\.1, decoder\.0"):
        config.select_layers(["decoder.9"])
