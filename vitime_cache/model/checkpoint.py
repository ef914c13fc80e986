"""Read and write ViTime weights: the published `.pth` and our `.safetensors`, never unpickling code.

A `.pth` file is read with torch's weights-only unpickler and one extra allowed class, `argparse.Namespace`, in which
the published file keeps its settings. A `.safetensors` file carries the config in its metadata.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vitime_cache import places
from vitime_cache.atomic import replacing
from vitime_cache.errors import VitimeError
from vitime_cache.model.config import ConfigError, ViTimeConfig, WeightsInfo

if TYPE_CHECKING:
    import torch

    from vitime_cache.model.network import ViTime

PUBLISHED_NAME = "ViTime_Model.pth"
SHIPPED_NAME = "vitime-mini.safetensors"
PUBLISHED_SOURCE = "https://github.com/IkeYang/ViTime"

MAX_FILE_BYTES = 8 * 2**30
MAX_HEADER_BYTES = 16 * 2**20


class CheckpointError(VitimeError):
    """A weights file that is missing, damaged, unsafe or does not fit its own description."""


def find_weights() -> Path:
    """The weights used when none are named: the published file if it is in `weights/`, else the shipped small model.

    Raises
    ------
    CheckpointError
        If neither is there, saying where to get the published file and where to put it.
    """
    for name in (PUBLISHED_NAME, SHIPPED_NAME):
        if (path := places.WEIGHTS / name).is_file():
            return path
    raise CheckpointError(f"no weights in {places.WEIGHTS}. {_how_to_get_weights()}")


def weights_name(weights: str | Path) -> str:
    """What weights are called wherever they are named: their file without its ending."""
    return Path(weights).stem


def load_model(weights: str | Path | None = None, device: str = "auto", dtype: str = "float32") -> ViTime:
    """Build the network that a weights file describes, ready for inference.

    Parameters
    ----------
    weights
        A `.pth` or `.safetensors` file; None takes `find_weights()`.
    device
        "auto" (CUDA if there is one, else the CPU) or a torch device name.
    dtype
        "float32" or "bfloat16", of the parameters and the arithmetic.

    Raises
    ------
    CheckpointError
        With one message that says what is wrong with the file and what to do.
    """
    import torch

    from vitime_cache.model.network import ViTime

    path = _existing_file(weights)
    target = _device(device)
    if dtype not in ("float32", "bfloat16"):
        raise CheckpointError(f"dtype must be 'float32' or 'bfloat16', got {dtype!r}")
    if path.suffix == ".safetensors":
        config, note = _read_header(path)
        state = _read_safetensors(path)
    else:
        content = _read_pth(path)
        config, state = _published_config(path, content)
        note = ""
    with torch.device("meta"):
        model = ViTime(config)
    _check_state(path, model, state)
    model.load_state_dict(state, strict=True, assign=True)
    model.requires_grad_(False)
    model.weights = WeightsInfo(weights_name(path), sha256(path), note)
    return model.to(device=target, dtype=getattr(torch, dtype)).eval()


def peek(weights: str | Path | None = None) -> tuple[ViTimeConfig, WeightsInfo]:
    """Config and identity of a weights file without building the network; torch-free for `.safetensors`.

    Raises
    ------
    CheckpointError
        As `load_model`, as far as the file's header shows it.
    """
    path = _existing_file(weights)
    if path.suffix == ".safetensors":
        config, note = _read_header(path)
    else:
        config, _ = _published_config(path, _read_pth(path))
        note = ""
    return config, WeightsInfo(weights_name(path), sha256(path), note)


def save_safetensors(model: ViTime, path: str | Path, *, note: str = "", dtype: str = "float16") -> None:
    """Write the network's weights in `dtype`, its config and `note` (what a person must know about them) to `path`."""
    import torch
    from safetensors.torch import save

    tensors = {
        name: value.detach().cpu().to(getattr(torch, dtype)).contiguous() for name, value in model.state_dict().items()
    }
    metadata = {"format": "vitime-cache", "config": json.dumps(model.config.to_dict()), "note": note}
    with replacing(Path(path)) as file:
        file.write(save(tensors, metadata=metadata))


def sha256(path: Path) -> str:
    """Hex digest of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _how_to_get_weights() -> str:
    return (
        f"The published model is linked from {PUBLISHED_SOURCE}; put it at {places.WEIGHTS / PUBLISHED_NAME}. "
        f"The small model of this project is {SHIPPED_NAME} in the same folder of its repository."
    )


def _existing_file(weights: str | Path | None) -> Path:
    path = find_weights() if weights is None else Path(weights)
    if not path.is_file():
        what = "is a folder, not a weights file" if path.is_dir() else "does not exist"
        raise CheckpointError(f"{path} {what}. {_how_to_get_weights()}")
    if path.suffix not in (".pth", ".pt", ".safetensors"):
        raise CheckpointError(f"{path} is no weights file: expected a name that ends in .pth or .safetensors")
    if path.stat().st_size > MAX_FILE_BYTES:
        raise CheckpointError(
            f"{path} has {path.stat().st_size:,} bytes; weights files above {MAX_FILE_BYTES:,} are refused"
        )
    return path


def _device(name: str) -> torch.device:
    import torch

    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise CheckpointError(f"{name!r} is no device; use auto, cpu, cuda or cuda:0") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise CheckpointError(f"device {name!r} was asked for, but this machine has no CUDA device; use auto or cpu")
    return device


# --- safetensors -----------------------------------------------------------------------------------------------------


def _read_header(path: Path) -> tuple[ViTimeConfig, str]:
    """Config and note from the metadata, read by hand so that it costs neither torch nor the tensors."""
    try:
        with path.open("rb") as file:
            size = int.from_bytes(file.read(8), "little")
            if not 2 <= size <= min(MAX_HEADER_BYTES, path.stat().st_size):
                raise CheckpointError(f"{path} is no safetensors file or is truncated: a header of {size:,} bytes")
            metadata = json.loads(file.read(size)).get("__metadata__", {})
        config = json.loads(metadata["config"])
    except KeyError as error:
        raise CheckpointError(
            f"{path} carries no ViTime config in its metadata; it was not written by `python -m vitime_cache train`"
        ) from error
    except (ValueError, AttributeError, RecursionError) as error:
        if isinstance(error, CheckpointError):
            raise
        raise CheckpointError(f"{path} has a damaged safetensors header ({error}); fetch the file again") from error
    try:
        return ViTimeConfig.from_dict(config), str(metadata.get("note", ""))
    except (ConfigError, AttributeError, TypeError) as error:
        raise CheckpointError(f"{path} describes no possible network: {error}") from error


def _read_safetensors(path: Path) -> dict[str, torch.Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return {name: tensor.float() for name, tensor in load_file(path).items()}
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path} is truncated or damaged ({error}); fetch the file again") from error


# --- the published .pth ----------------------------------------------------------------------------------------------


def _read_pth(path: Path) -> dict[str, Any]:
    import pickle

    import torch

    if not zipfile.is_zipfile(path):
        raise CheckpointError(
            f"{path} is no torch checkpoint or is truncated (not a zip archive); fetch the file again"
        )
    try:
        with torch.serialization.safe_globals([Namespace]):
            content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{path} holds more than tensors, numbers, strings and one settings object, so loading it could run code "
            f"from the file; it is refused. Re-save it with plain containers. ({str(error).splitlines()[0]})"
        ) from error
    except (RuntimeError, EOFError, KeyError, ValueError, OSError, AttributeError, TypeError) as error:
        raise CheckpointError(f"{path} is truncated or damaged ({_first_line(error)}); fetch the file again") from error
    if not isinstance(content, dict) or not {"model", "args"} <= content.keys():
        raise CheckpointError(f"{path} is no ViTime checkpoint: expected the keys 'model' and 'args' at its top level")
    if not isinstance(content["model"], dict) or not isinstance(content["args"], Namespace):
        raise CheckpointError(f"{path} is no ViTime checkpoint: 'model' must be a state dict and 'args' a Namespace")
    return content


def _published_config(path: Path, content: dict[str, Any]) -> tuple[ViTimeConfig, dict[str, torch.Tensor]]:
    """Config and state of a published checkpoint; the shapes in the state are the truth, `args` must agree."""
    import torch

    state = {}
    for key, value in content["model"].items():
        name = key.removeprefix("module.")
        if not name.startswith("model."):
            raise CheckpointError(f"{path} has an unexpected weight {key!r}: every name starts with 'model.' here")
        if not isinstance(value, torch.Tensor):
            raise CheckpointError(f"{path} holds {type(value).__name__} under {key!r} where a tensor was expected")
        state[name.removeprefix("model.")] = value.float()
    args = vars(content["args"])

    def setting(name: str) -> Any:
        if name not in args:
            raise CheckpointError(f"{path} lacks the setting {name!r} among its args: {', '.join(sorted(args))}")
        return args[name]

    try:
        expand = args.get("expandData") or 1
        context, _, horizon = setting("size")
        patch_height, patch_width = setting("patch_size")
        config = ViTimeConfig.published(
            float(setting("modelSize")),
            image_height=int(setting("h")),
            context_columns=int(context * expand),
            horizon_columns=int(horizon * expand),
            patch_height=int(patch_height),
            patch_width=int(patch_width),
            value_range=float(setting("maxScal")),
            mu_norm=None if args.get("muNorm") is None else float(args["muNorm"]),
            output="sigmoid" if setting("lossType") == "MSE" else "softmax",
        )
    except CheckpointError:
        raise
    except (ConfigError, TypeError, ValueError, OverflowError) as error:
        raise CheckpointError(f"{path} has args that describe no possible network: {error}") from error
    return config, state


def _check_state(path: Path, model: ViTime, state: dict[str, torch.Tensor]) -> None:
    """One message for the first disagreement between the file's tensors and the network its config describes."""
    import torch

    expected = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    if missing := sorted(expected.keys() - state.keys()):
        raise CheckpointError(f"{path} lacks {len(missing)} weights of its config, the first {missing[0]!r}")
    if extra := sorted(state.keys() - expected.keys()):
        raise CheckpointError(f"{path} holds {len(extra)} weights beyond its config, the first {extra[0]!r}")
    for name, shape in expected.items():
        if tuple(state[name].shape) != shape:
            raise CheckpointError(
                f"{path}: weight {name!r} has shape {tuple(state[name].shape)}, but the file's own config says {shape}"
            )
        if not torch.isfinite(state[name]).all():
            raise CheckpointError(f"{path}: weight {name!r} holds NaN or infinite values; fetch the file again")


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
