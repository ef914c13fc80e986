"""Read and write ViTime weights: the published `.pth` and our `.safetensors`. Code in a file is never run.

A file is first described without torch: its config, and the place of every tensor. Numbers are read only if the two
agree. A `.safetensors` file has its config in the metadata, a `.pth` in its settings (`published`).
"""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vitime_cache import places
from vitime_cache.atomic import FileStamp, file_stamp, write_whole
from vitime_cache.checks import choice
from vitime_cache.errors import VitimeError
from vitime_cache.model.config import ConfigError, ViTimeConfig, WeightsInfo
from vitime_cache.model.foreign import SAFETENSORS, kind_of
from vitime_cache.model.pickled import CodeError
from vitime_cache.model.published import (
    FLOATS,
    FormatError,
    StoredTensor,
    config_of_settings,
    read_published,
)
from vitime_cache.model.shapes import check_shapes, plain_names
from vitime_cache.shown import terminal

if TYPE_CHECKING:
    import torch

    from vitime_cache.model.network import ViTime

PUBLISHED_NAME = "ViTime_Model.pth"
SHIPPED_NAME = "vitime-mini.safetensors"
PUBLISHED_SOURCE = "https://github.com/IkeYang/ViTime"

ENDINGS = (".pth", ".pt", ".bin", ".ckpt", ".safetensors")
MAX_CONFIG_BYTES = 1_000_000
MAX_FILE_BYTES = 8 * 2**30
MAX_HEADER_BYTES = 4_000_000
DTYPES = ("float32", "float16", "bfloat16")  # in which a network can run
_SAFETENSORS_FLOATS = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16"}


class CheckpointError(VitimeError):
    """A weights file that is missing, damaged, unsafe or does not fit its own description."""


def find_weights() -> Path:
    """The default weights: the published file if it is in `weights/`, else the shipped small model.

    Raises
    ------
    CheckpointError
        If neither is there, with where to get the published file and where to put it.
    """
    for name in (PUBLISHED_NAME, SHIPPED_NAME):
        if (path := places.WEIGHTS / name).is_file():
            return path
    raise CheckpointError(f"no weights in {places.WEIGHTS}. {_how_to_get_weights()}")


def weights_name(weights: str | Path) -> str:
    """The name of weights in stores and on pages: their file name without its ending."""
    return Path(weights).stem


def load_model(
    weights: str | Path | None = None,
    device: str = "auto",
    dtype: str = "float32",
    *,
    config: ViTimeConfig | str | Path | None = None,
) -> ViTime:
    """Build the network that a weights file describes, ready for inference.

    Parameters
    ----------
    weights
        A file as torch.save writes it (.pth, .pt, .bin, .ckpt), or `.safetensors`; None takes `find_weights()`.
    device
        "auto" (CUDA if there is one, else the CPU), "cpu", "cuda", or one of several such as "cuda:1"; also "mps" and
        "xpu" where torch has them (untested).
    dtype
        "float32", "float16" or "bfloat16", of the parameters and the arithmetic.
    config
        The network's shape, or a JSON or TOML file with it, for weights without it: a bare state dict. The fields are
        those of `ViTimeConfig`, or the settings of ViTime's own code ("modelSize", "h", "size", …).

    Raises
    ------
    CheckpointError
        Saying what is wrong with the file or an argument, and what to do.
    """
    import torch

    from vitime_cache.model.network import ViTime

    path = _existing_file(weights)
    target = pick_device(device)
    check_dtype(dtype)
    with _unchanged(path):
        description = _describe(path, config)
        tensors = _read_tensors(path, description.tensors)
    with torch.device("meta"):
        model = ViTime(description.config)
    model.load_state_dict(tensors, strict=True, assign=True)
    model.requires_grad_(False)
    model.to(device=target, dtype=getattr(torch, dtype)).eval()
    model.weights = description.info
    return model


def check_model(model: Any) -> None:
    """Check that `model` is a network from `load_model`, and that it would run in its own dtype.

    Raises
    ------
    CheckpointError
        If it is anything else, or torch.autocast would have it compute in another dtype than what results say.
    """
    import torch

    if not isinstance(getattr(model, "config", None), ViTimeConfig):
        raise CheckpointError(f"the model must be what load_model returns, got {model!r:.60}")
    if torch.is_autocast_enabled(model.device.type):
        raise CheckpointError(
            "torch.autocast is on, and the network would compute in another dtype than its own: call this outside of "
            "it, or load the model with dtype='bfloat16'"
        )


def dtype_name(model: ViTime) -> str:
    """The dtype of a model, by the name that `load_model` takes: "float32" …"""
    return str(model.dtype).removeprefix("torch.")


def peek(
    weights: str | Path | None = None, *, config: ViTimeConfig | str | Path | None = None
) -> tuple[ViTimeConfig, WeightsInfo]:
    """Config and identity of a weights file, read without torch and without its numbers.

    The result is cached until the file changes.

    Raises
    ------
    CheckpointError
        As `load_model`, except for faults that only the numbers show.
    """
    description = _describe(_existing_file(weights), config)
    return description.config, description.info


def save_safetensors(model: ViTime, path: str | Path, *, note: str = "", dtype: str = "float16") -> None:
    """Write the network's weights in `dtype`, its config and `note` (what users must know about them) to `path`."""
    import torch
    from safetensors.torch import save

    tensors = {
        name: value.detach().cpu().to(getattr(torch, dtype)).contiguous() for name, value in model.state_dict().items()
    }
    metadata = {"format": "vitime-cache", "config": json.dumps(model.config.to_dict()), "note": note}
    write_whole(Path(path), save(tensors, metadata=metadata))


def sha256(path: Path) -> str:
    """Hex digest of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _how_to_get_weights() -> str:
    return (
        f"The published model is linked from {PUBLISHED_SOURCE}; put it at {places.WEIGHTS / PUBLISHED_NAME} "
        "or name it with --weights. "
        f"The small model of this project is {SHIPPED_NAME} in the same folder of its repository."
    )


def _existing_file(weights: str | Path | None) -> Path:
    if not isinstance(weights, str | PathLike | None):
        raise CheckpointError(f"weights are the name of a file, or None for the default, got {weights!r:.60}")
    path = find_weights() if weights is None else Path(weights)
    if not path.is_file():
        there = "is no regular file" if path.exists() else "does not exist"
        what = "is a folder, not a weights file" if path.is_dir() else there
        raise CheckpointError(f"{path} {what}. {_how_to_get_weights()}")
    if path.suffix.lower() not in ENDINGS:
        raise CheckpointError(
            f"{path} is not a weights file: expected a name that ends in {', '.join(ENDINGS[:-1])} or {ENDINGS[-1]}"
        )
    if path.stat().st_size > MAX_FILE_BYTES:
        raise CheckpointError(
            f"{path} has {path.stat().st_size:,} bytes; weights files above {MAX_FILE_BYTES:,} are refused"
        )
    return path


def check_dtype(dtype: str) -> None:
    """Raise CheckpointError for a dtype in which a network cannot run."""
    choice(dtype, "dtype", DTYPES, error=CheckpointError)


def pick_device(name: str | torch.device) -> torch.device:
    """The device of that name, or the best one for "auto"; CheckpointError for one that this machine lacks."""
    import torch

    named = str(name)
    if named == "auto":
        named = "cuda" if torch.cuda.is_available() else "cpu"
    if not re.fullmatch(r"(cpu|mps)|(cuda|xpu)(:[0-9]{1,3})?", named):
        raise CheckpointError(f"{name!r:.60} is not a device for a network here; use auto, cpu, cuda or cuda:0")
    kind, _, number = named.partition(":")
    if kind == "cpu":
        return torch.device(named)
    there: bool = getattr(torch, kind).is_available() if hasattr(torch, kind) else False
    if not there:
        raise CheckpointError(
            f"device {named!r} was asked for, but this machine has no {kind.upper()} device that torch can use; use "
            "auto or cpu"
        )
    if number and int(number) >= getattr(torch, kind).device_count():
        raise CheckpointError(
            f"there is no device {named!r}; this machine has {getattr(torch, kind).device_count()}, from {kind}:0 on"
        )
    return torch.device(named)


def devices_like(name: str) -> list[str]:
    """Names of all devices that `name` may stand for: the one whose number it gives, or all of its kind here."""
    import torch

    one = pick_device(name)
    if one.index is not None or one.type not in ("cuda", "xpu"):
        return [str(one)]
    return [f"{one.type}:{number}" for number in range(getattr(torch, one.type).device_count())]


# --- the description of a file ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Description:
    """A weights file whose tensors match its config."""

    config: ViTimeConfig
    tensors: dict[str, StoredTensor]
    info: WeightsInfo


def _describe(path: Path, config: ViTimeConfig | str | Path | None = None) -> _Description:
    """The description of a file, cached until the file changes."""
    if not isinstance(config, ViTimeConfig | str | Path | None):
        raise CheckpointError(f"config is a ViTimeConfig or the name of a file, got {config!r:.60}")
    given = config if isinstance(config, ViTimeConfig | None) else _read_config(Path(config))
    with _unchanged(path) as stamp:
        return _describe_once(path, stamp, given)


@contextmanager
def _unchanged(path: Path) -> Iterator[FileStamp]:
    """Raise CheckpointError if the file was replaced meanwhile: its hash would be that of other numbers."""
    stamp = file_stamp(path)
    yield stamp
    if file_stamp(path) != stamp:
        raise CheckpointError(f"{path} was replaced while it was read; try again")


@lru_cache(maxsize=8)
def _describe_once(path: Path, stamp: FileStamp, given: ViTimeConfig | None) -> _Description:  # noqa: ARG001 - part of the cache's key
    try:
        kind = kind_of(path)
    except ValueError as error:
        raise CheckpointError(f"{path} is not a weights file: it is {error}") from error
    try:
        if kind == SAFETENSORS:
            config, note, tensors = _read_header(path, given)
        else:
            (config, tensors), note = read_published(path, given), ""
        check_shapes(config, {name: tensor.shape for name, tensor in tensors.items()})
    except CodeError as error:
        raise CheckpointError(
            f"{path} holds more than tensors, numbers, text and one settings object, so loading it could run code "
            f"from the file; it is refused. Save it again with plain containers. ({error})"
        ) from error
    except FormatError as error:
        raise CheckpointError(f"{path} is truncated or damaged: {error}; fetch the file again") from error
    except ConfigError as error:
        raise CheckpointError(f"{path} cannot be used: {error}") from error
    for name, tensor in tensors.items():
        if tensor.dtype not in FLOATS:
            raise CheckpointError(f"{path}: weight {name!r} holds {tensor.dtype}; save dense float tensors")
    name, note = (" ".join(terminal(text).split()) for text in (weights_name(path), note))
    return _Description(config, tensors, WeightsInfo(name, sha256(path), note))


def _read_config(path: Path) -> ViTimeConfig:
    """Read a network's shape from a JSON or TOML file: the fields of `ViTimeConfig`, or ViTime's own settings.

    Raises
    ------
    CheckpointError
        Naming the file and what is wrong with it.
    """
    try:
        if not path.is_file() or path.stat().st_size > MAX_CONFIG_BYTES:
            raise ValueError(f"there is no file of at most {MAX_CONFIG_BYTES:,} bytes")
        text = path.read_text(encoding="utf-8")
        values = tomllib.loads(text) if path.suffix.lower() == ".toml" else _json_object(text, "it")
        return config_of_settings(values) if "modelSize" in values else ViTimeConfig.from_dict(values)
    except (ValueError, OSError, RecursionError) as error:
        raise CheckpointError(f"{path} is not the config of a network: {error}") from error


def _read_header(path: Path, given: ViTimeConfig | None) -> tuple[ViTimeConfig, str, dict[str, StoredTensor]]:
    """Read config, note and tensors from the header of a safetensors file.

    The library checks the header, and that the tensors fill the rest of the file without a gap; so each begins where
    the one before ends (https://github.com/safetensors/safetensors).
    """
    from safetensors import SafetensorError, safe_open

    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
    if size > MAX_HEADER_BYTES:
        raise FormatError(f"a header of {size:,} bytes")
    tensors, end = {}, 8 + size
    try:
        with safe_open(path, framework="numpy") as header:
            metadata = header.metadata() or {}
            for name in header.offset_keys():
                entry = header.get_slice(name)
                if (dtype := entry.get_dtype()) not in _SAFETENSORS_FLOATS:
                    raise ConfigError(f"weight {name[:100]!r} holds {dtype}; save dense float tensors")
                tensors[name] = StoredTensor(_SAFETENSORS_FLOATS[dtype], tuple(entry.get_shape()), end)
                end += tensors[name].size
    except SafetensorError as error:
        raise FormatError(str(error)[:200]) from error
    if given is None and "config" not in metadata:
        raise ConfigError(
            "it has no ViTime config in its metadata, so `python -m vitime_cache train` did not write it: pass the "
            "network's shape as well (--config FILE, config=)"
        )
    config = given or ViTimeConfig.from_dict(_json_object(metadata["config"], "its config"))
    return config, metadata.get("note", ""), plain_names(tensors)


def _json_object(text: bytes | str, what: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{what} is not JSON ({error})") from error
    if not isinstance(value, dict):
        raise FormatError(f"{what} is not a JSON object")
    return value


# --- its numbers -----------------------------------------------------------------------------------------------------


def _read_tensors(path: Path, tensors: dict[str, StoredTensor]) -> dict[str, torch.Tensor]:
    """Read the tensors as float32.

    They are copied, not mapped: whoever copies another file over this one would change the network of a process that
    has loaded it, or end the process.
    """
    import torch

    state = {}
    with path.open("rb") as file:
        for name, tensor in tensors.items():
            numbers = bytearray(tensor.size)
            file.seek(tensor.start)
            if file.readinto(numbers) < tensor.size:
                raise CheckpointError(f"{path} was truncated while it was read; fetch the file again")
            dtype: torch.dtype = getattr(torch, tensor.dtype)
            state[name] = torch.frombuffer(numbers, dtype=dtype).view(tensor.shape).float()
            if not torch.isfinite(state[name]).all():
                raise CheckpointError(f"{path}: weight {name!r} holds NaN or infinite values; fetch the file again")
    return state
