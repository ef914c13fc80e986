"""The shape of a ViTime model: image, token grid, network widths and everything derived from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

from vitime_cache.checks import choice, positive, whole
from vitime_cache.errors import VitimeError


class ConfigError(VitimeError):
    """A configuration that no ViTime model can have."""


@dataclass(frozen=True)
class ViTimeConfig:
    """Everything that fixes a ViTime network's shapes and its image encoding.

    The defaults are those of the reference study: 128 rows, 1024 + 1440 columns, patches of 4 × 32,
    hence 32 × 77 tokens (ViTime paper, arXiv 2407.07311, section 3).

    Parameters
    ----------
    image_height
        Rows of the image; each is one bin of the value axis.
    context_columns, horizon_columns
        Columns of the image; together its width. A series of any length is resampled onto them.
    patch_height, patch_width
        Size of a token in rows and columns.
    encoder_width, encoder_depth, decoder_width, decoder_depth, heads
        Widths in channels, depths in transformer blocks; encoder and decoder have the same number of heads.
    value_range
        The image shows ±value_range standard deviations (`maxScal` in the published code).
    mu_norm
        Power of the signed mean that centres a series (`muNorm`), or None for the plain mean.
    output
        "softmax" over the rows of a column, or "sigmoid" per pixel (published `lossType` "MSE").

    Raises
    ------
    ConfigError
        If a number is not positive or not a multiple as required, naming the field and the value.
    """

    image_height: int = 128
    context_columns: int = 1024
    horizon_columns: int = 1440
    patch_height: int = 4
    patch_width: int = 32
    encoder_width: int = 1024
    encoder_depth: int = 12
    decoder_width: int = 512
    decoder_depth: int = 6
    heads: int = 16
    value_range: float = 3.5
    mu_norm: float | None = None
    output: str = "softmax"

    def __post_init__(self) -> None:
        for field in fields(self):
            if field.type == "int":
                object.__setattr__(self, field.name, whole(getattr(self, field.name), field.name, 1, error=ConfigError))
        if self.image_height < 16:
            raise ConfigError(
                f"image_height must be at least 16 for the 31-pixel blur to reflect, got {self.image_height}"
            )
        if self.columns < 16:
            raise ConfigError(f"the image must be at least 16 columns wide, got {self.columns}")
        for size, patch in (("image_height", "patch_height"), ("columns", "patch_width")):
            if getattr(self, size) % getattr(self, patch):
                raise ConfigError(f"{size} {getattr(self, size)} is not a multiple of {patch} {getattr(self, patch)}")
        for width in ("encoder_width", "decoder_width"):
            if getattr(self, width) % self.heads:
                raise ConfigError(f"{width} {getattr(self, width)} is not a multiple of heads {self.heads}")
            if getattr(self, width) % 4:
                raise ConfigError(
                    f"{width} {getattr(self, width)} is not a multiple of 4, as 2-D sin-cos positions need"
                )
        for name in ("value_range", "mu_norm"):
            if name != "mu_norm" or self.mu_norm is not None:
                object.__setattr__(self, name, positive(getattr(self, name), name, error=ConfigError))
        choice(self.output, "output", ("softmax", "sigmoid"), error=ConfigError)

    @property
    def columns(self) -> int:
        """Width of the image in columns (2464 in the reference study)."""
        return self.context_columns + self.horizon_columns

    @property
    def grid(self) -> tuple[int, int]:
        """Token rows (value axis) and token columns (time axis), e.g. (32, 77)."""
        return self.image_height // self.patch_height, self.columns // self.patch_width

    @property
    def tokens(self) -> int:
        """Number of tokens without CLS, e.g. 2464."""
        rows, columns = self.grid
        return rows * columns

    def samples_per_patch(self, samples: int) -> float:
        """Samples per patch of lag when history and horizon together have `samples`.

        This is 16 for the reference study's 512 + 720; its code uses 16 for every length.
        """
        return self.patch_width * positive(samples, "samples", error=ConfigError) / self.columns

    @property
    def row_step(self) -> float:
        """Height of one image row in standard deviations (`res` in the published code)."""
        return 2 * self.value_range / (self.image_height - 1)

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the attention layers in execution order: "encoder.0" … "decoder.5"."""
        encoder = tuple(f"encoder.{i}" for i in range(self.encoder_depth))
        return encoder + tuple(f"decoder.{i}" for i in range(self.decoder_depth))

    @classmethod
    def published(cls, model_size: float, **changes: Any) -> Self:
        """The config of a published model of size s: D = 1024 s, depth 12 s, heads 16 s."""
        positive(model_size, "model_size", error=ConfigError)
        width, depth = int(1024 * model_size), int(12 * model_size)
        sizes = {
            "encoder_width": width,
            "encoder_depth": depth,
            "decoder_width": width // 2,
            "decoder_depth": depth // 2,
            "heads": int(16 * model_size),
        }
        return cls(**{**sizes, **changes})

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers and strings, for JSON metadata."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """The inverse of `to_dict`; an unknown or missing field is a ConfigError naming it."""
        if not isinstance(values, dict):
            raise ConfigError(f"the values of a config are a dict, got {values!r:.60}")
        known = {field.name for field in fields(cls)}
        if unknown := sorted(set(values) - known):
            raise ConfigError(
                f"unknown config field {', '.join(map(repr, unknown)):.200}; known are {', '.join(sorted(known))}"
            )
        if missing := sorted(known - set(values)):
            raise ConfigError(f"config lacks {', '.join(missing)}")
        try:
            return cls(**values)
        except TypeError as error:
            raise ConfigError(f"a config field has the wrong type: {error}") from error

    def select_layers(self, wanted: str | Sequence[str]) -> tuple[str, ...]:
        """The requested layers, in execution order.

        Parameters
        ----------
        wanted
            "all", "none", or layer names.

        Raises
        ------
        ConfigError
            For a layer that does not exist, naming it and those that do.
        """
        if not isinstance(wanted, Sequence):
            raise ConfigError(f'layers are "all", "none" or names such as {self.layers[-1]!r}, got {wanted!r:.60}')
        if wanted in ("all", "none"):
            return self.layers if wanted == "all" else ()
        names = (wanted,) if isinstance(wanted, str) else tuple(wanted)
        for name in names:
            if name not in self.layers:
                raise ConfigError(f"no layer {name!r}; this model has {', '.join(self.layers)}")
        return tuple(layer for layer in self.layers if layer in names)


@dataclass(frozen=True)
class WeightsInfo:
    """Where a network's weights come from.

    Attributes
    ----------
    name
        The file's stem, or how the weights were made ("random").
    sha256
        Hex digest of the file. Of weights without one, or changed since, `ViTime.weights` has that of the tensors.
    note
        What users must know about these weights, e.g. that they are not the published model's.
    """

    name: str
    sha256: str = ""
    note: str = ""
