"""Names and shapes of the weights that a config requires, without building the network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TypeVar

from vitime_cache.model.config import ConfigError, ViTimeConfig
from vitime_cache.shown import counted

Shape = tuple[int, ...]
Value = TypeVar("Value")

_WRAPPERS = {"module", "_orig_mod"}  # added by DataParallel and torch.compile, possibly nested


def plain_names(found: Mapping[str, Value]) -> dict[str, Value]:
    """Rename weights to their names in our network: without wrappers, and without a "model." that all names share.

    Raises
    ------
    ConfigError
        For a weight that lacks the others' "model.", that appears twice, or that only older files have.
    """
    bare = {name: [part for part in name.split(".") if part not in _WRAPPERS] for name in found}
    if older := next((name for name in found if "refin" in name.lower()), None):
        raise ConfigError(
            f"it is one of ViTime's older published files, with a second network ({older[:60]!r}: RefiningModel) that "
            "this program does not have; use the file that is linked there now"
        )
    while bare and any(parts[:1] == ["model"] for parts in bare.values()):
        for name, parts in bare.items():
            if parts[:1] != ["model"]:
                raise ConfigError(f"it has an unexpected weight {name[:100]!r}: the others' names start with 'model.'")
        bare = {name: parts[1:] for name, parts in bare.items()}
    named: dict[str, Value] = {}
    for name, parts in bare.items():
        plain = ".".join(parts)
        if plain in named:
            raise ConfigError(f"it has the weight {plain[:100]!r} twice, the second time as {name[:100]!r}")
        named[plain] = found[name]
    return named


def weight_shapes(config: ViTimeConfig) -> Iterator[tuple[str, Shape]]:
    """Yield name and shape of every weight of `network.ViTime(config)`, in any order.

    They are yielded one by one, because a config from a file may ask for a billion blocks.
    """
    wide, narrow = config.encoder_width, config.decoder_width
    pixels = config.patch_height * config.patch_width
    yield "cls_token", (1, 1, wide)
    yield "pos_embed", (1, 1 + config.tokens, wide)
    yield "mask_token", (1, 1, narrow)
    yield "decoder_pos_embed", (1, 1 + config.tokens, narrow)
    yield "patch_embed.proj.weight", (wide, 1, config.patch_height, config.patch_width)
    yield "patch_embed.proj.bias", (wide,)
    yield from _norm("norm", wide)
    yield from _linear("decoder_embed", wide, narrow)
    yield from _norm("decoder_norm", narrow)
    yield from _linear("decoder_pred", narrow, pixels)
    for part, width, depth in (
        ("blocks", wide, config.encoder_depth),
        ("decoder_blocks", narrow, config.decoder_depth),
    ):
        for i in range(depth):
            yield from _norm(f"{part}.{i}.norm1", width)
            yield from _linear(f"{part}.{i}.attn.qkv", width, 3 * width)
            yield from _linear(f"{part}.{i}.attn.proj", width, width)
            yield from _norm(f"{part}.{i}.norm2", width)
            yield from _linear(f"{part}.{i}.mlp.fc1", width, 4 * width)
            yield from _linear(f"{part}.{i}.mlp.fc2", 4 * width, width)


def check_shapes(config: ViTimeConfig, found: Mapping[str, Shape]) -> None:
    """Check that the weights are those of the config; the cost grows with the weights found, not with the config.

    Raises
    ------
    ConfigError
        Naming the first weight that is missing, has the wrong shape, or is not in the config.
    """
    expected = set()
    for name, shape in weight_shapes(config):
        if name not in found:
            raise ConfigError(f"it lacks the weight {name!r} of its config")
        if found[name] != shape:
            raise ConfigError(f"weight {name!r} has shape {found[name]}, but the file's own config says {shape}")
        expected.add(name)
    if extra := sorted(found.keys() - expected):
        raise ConfigError(f"it holds {counted(len(extra), 'weight')} beyond its config, the first {extra[0][:100]!r}")


def _norm(name: str, width: int) -> Iterator[tuple[str, Shape]]:
    yield f"{name}.weight", (width,)
    yield f"{name}.bias", (width,)


def _linear(name: str, width: int, out: int) -> Iterator[tuple[str, Shape]]:
    yield f"{name}.weight", (out, width)
    yield f"{name}.bias", (out,)
