"""Reads the config and the places of the tensors of a published `.pth`, without torch.

`torch.save` writes a zip archive: `<name>/data.pkl` describes the content, `<name>/data/<key>` are the numbers. A file
may state false sizes, so every size is checked against the size of the file before anything is allocated: entries must
be uncompressed, and tensors dense and together no larger than the file.
"""

from __future__ import annotations

import io
import math
import struct
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vitime_cache.model.config import ConfigError, ViTimeConfig
from vitime_cache.model.pickled import MAX_BYTES as MAX_PICKLE_BYTES
from vitime_cache.model.pickled import CodeError, Name, PickleError, read_pickle
from vitime_cache.model.shapes import plain_names

MAX_DIRECTORY_BYTES = 4_000_000  # of the zip archive; one with 700 entries has about 60 kB
MAX_DIMENSIONS = 8
MAX_ARGUMENTS = 10  # per call, so that a hundred thousand calls cost little
MAX_KEY = 100  # characters of a storage's key

# torch's storages by the type of their numbers.
_STORAGES = {
    "torch.DoubleStorage": "float64", "torch.FloatStorage": "float32", "torch.HalfStorage": "float16",
    "torch.BFloat16Storage": "bfloat16", "torch.LongStorage": "int64", "torch.IntStorage": "int32",
    "torch.ShortStorage": "int16", "torch.CharStorage": "int8", "torch.ByteStorage": "uint8",
    "torch.BoolStorage": "bool",
}  # fmt: skip
_BYTES = {
    "float64": 8, "float32": 4, "float16": 2, "bfloat16": 2,
    "int64": 8, "int32": 4, "int16": 2, "int8": 1, "uint8": 1, "bool": 1,
}  # fmt: skip
FLOATS = frozenset({"float64", "float32", "float16", "bfloat16"})
_FACTORIES = (f"{place}.{kind}" for place in ("builtins", "__builtin__") for kind in ("dict", "list", "int", "float"))
_PLAIN = {"torch.device", *_FACTORIES, *(f"torch.{name}" for name in _BYTES)}
_OTHER_TENSORS = ("torch._utils._rebuild_", "torch._tensor.", "torch.nested.", "torch.sparse")
_SCALARS = {
    "f8": "d", "f4": "f", "f2": "e", "i8": "q", "i4": "i", "i2": "h", "i1": "b",
    "u8": "Q", "u4": "I", "u2": "H", "u1": "B", "b1": "?",
}  # fmt: skip
_ORDERS = ("<", ">", "|")
_LIGHTNING = tuple(
    f"{place}.AttributeDict"
    for place in (
        "pytorch_lightning.utilities.parsing", "lightning.pytorch.utilities.parsing",
        "lightning_fabric.utilities.data", "lightning.fabric.utilities.data",
    )
)  # fmt: skip
_PATHS = tuple(
    f"{place}.{name}"
    for place in ("pathlib", "pathlib._local")  # the second as Python 3.13 writes them
    for name in ("PosixPath", "WindowsPath", "PurePosixPath", "PureWindowsPath")
)
_LOCAL_HEADER = struct.Struct("<4s22xHH")


class FormatError(ValueError):
    """A file that is not a torch checkpoint, or a damaged one."""


@dataclass(frozen=True)
class StoredTensor:
    """Where the numbers of a tensor are: contiguous, from `start` bytes into the file on."""

    dtype: str
    shape: tuple[int, ...]
    start: int

    @property
    def size(self) -> int:
        """Bytes."""
        return math.prod(self.shape) * _BYTES[self.dtype]


@dataclass(frozen=True)
class _Storage:
    """An entry of the archive: the numbers of one or more tensors."""

    dtype: str
    start: int
    size: int


class _Settings(dict[str, Any]):
    """Stands for an argparse.Namespace."""


@dataclass(frozen=True)
class _Dtype:
    """A numpy dtype: its code and its byte order."""

    code: str
    order: str = "<"


_STATES = ("model", "state_dict", "model_state_dict")  # keys for the weights, in files of ViTime, Lightning and others
_SETTINGS = ("args", "hyper_parameters", "hparams")


def read_published(path: Path, config: ViTimeConfig | None = None) -> tuple[ViTimeConfig, dict[str, StoredTensor]]:
    """Read config and weights of a checkpoint that `torch.save` wrote, without checking that they agree.

    Parameters
    ----------
    config
        Replaces the file's own settings; None uses those.

    Raises
    ------
    CodeError
        If the file holds objects of classes that a checkpoint does not need.
    FormatError
        If the file is damaged.
    ConfigError
        If it is a checkpoint of something else, or describes an impossible network.
    """
    try:
        with _Bounded(path) as file:
            content = _content(file)
    except (CodeError, ConfigError):
        raise
    except (zipfile.BadZipFile, PickleError, NotImplementedError, OSError, EOFError, ValueError) as error:
        raise FormatError(str(error) or type(error).__name__) from error
    except (struct.error, RuntimeError, OverflowError, KeyError, IndexError) as error:
        raise FormatError(f"its archive is damaged: {error}") from error
    if not isinstance(content, dict):
        raise ConfigError(f"it is not a ViTime checkpoint: it holds a {type(content).__name__}, not a dict")
    where = next((key for key in _STATES if key in content), None)
    model = content if where is None else content[where]
    if type(model) is not dict:
        raise ConfigError(f"it is not a ViTime checkpoint: '{where}' must be a state dict")
    if where is None and not any(isinstance(value, StoredTensor) for value in model.values()):
        raise ConfigError("it is not a ViTime checkpoint: expected the keys 'model' and 'args' at its top level")
    return config or _config(_settings(content)), plain_names(_tensors(model))


def _tensors(model: dict[Any, Any]) -> dict[str, StoredTensor]:
    for key, value in model.items():
        if not isinstance(key, str):
            raise ConfigError(f"it has an unexpected weight {_short(key)}: names must be text")
        if not isinstance(value, StoredTensor):
            raise ConfigError(f"it holds {type(value).__name__} under {_short(key)} where a tensor was expected")
    return model


def _settings(content: dict[Any, Any]) -> Mapping[str, Any]:
    """The settings that a network was trained with, from any of the places where a checkpoint keeps them."""
    for key in _SETTINGS:
        found = content.get(key)
        if isinstance(found, dict):
            inner = found.get("args")
            return inner if isinstance(inner, dict) else found
    if any(key in content for key in _SETTINGS):
        raise ConfigError("it is not a ViTime checkpoint: 'args' must be a Namespace or a dict")
    raise ConfigError(
        "it is not a ViTime checkpoint, or a bare state dict: expected the keys 'model' and 'args' at its top level, "
        "or the network's shape given separately (--config FILE, config=)"
    )


def config_of_settings(args: Mapping[str, Any]) -> ViTimeConfig:
    """The config that ViTime's own settings describe ("modelSize", "h", "size" …).

    Raises
    ------
    ConfigError
        Naming a setting that is missing or impossible.
    """
    return _config(args)


def _config(args: Mapping[str, Any]) -> ViTimeConfig:
    def setting(name: str) -> Any:
        if name not in args:
            raise ConfigError(
                f"it lacks the setting {name!r} among its args: {', '.join(sorted(map(str, args)))[:500]}"
            )
        return args[name]

    def number(value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise TypeError(f"a {type(value).__name__} where a number was expected")
        return value

    try:
        expand = number(args.get("expandData") or 1)
        context, _, horizon = setting("size")
        patch_height, patch_width = setting("patch_size")
        return ViTimeConfig.published(
            number(setting("modelSize")),
            image_height=int(number(setting("h"))),
            context_columns=int(number(context) * expand),
            horizon_columns=int(number(horizon) * expand),
            patch_height=int(number(patch_height)),
            patch_width=int(number(patch_width)),
            value_range=float(number(setting("maxScal"))),
            mu_norm=None if args.get("muNorm") is None else float(number(args["muNorm"])),
            output="sigmoid" if type(setting("lossType")) is str and setting("lossType") == "MSE" else "softmax",
        )
    except (ConfigError, TypeError, ValueError, OverflowError) as error:
        raise ConfigError(f"its args describe an impossible network: {str(error)[:500]}") from error


def _short(key: object) -> str:
    return repr(key)[:100] if isinstance(key, str | int | float | None) else f"of type {type(key).__name__}"


# --- the archive -----------------------------------------------------------------------------------------------------


class _Bounded(io.BufferedReader):
    """A file that limits the size of each read, whatever sizes the file states."""

    def __init__(self, path: Path) -> None:
        super().__init__(io.FileIO(path))

    def read(self, size: int | None = -1, /) -> bytes:
        if size is None or size < 0 or size > MAX_DIRECTORY_BYTES:
            size = MAX_DIRECTORY_BYTES
        return super().read(size)


def _content(file: _Bounded) -> Any:
    """The content of data.pkl, with a `StoredTensor` for every tensor."""
    length = file.seek(0, io.SEEK_END)
    with zipfile.ZipFile(file) as archive:
        entries = {entry.filename: entry for entry in archive.infolist()}
    pickles = [name for name in entries if name.count("/") == 1 and name.endswith("/data.pkl")]
    if len(pickles) != 1:
        raise FormatError(f"it is not a torch checkpoint: {len(pickles)} entries named data.pkl")
    prefix = pickles[0].removesuffix("data.pkl")

    def place(name: str) -> tuple[int, int]:
        """Start and size of an entry's content."""
        entry = entries.get(prefix + name)
        if entry is None:
            raise FormatError(f"its entry {name[:60]!r} is missing")
        if entry.compress_type != zipfile.ZIP_STORED or entry.flag_bits & 1 or entry.compress_size != entry.file_size:
            raise FormatError(f"its entry {name[:60]!r} is compressed or encrypted, which torch.save does not do")
        file.seek(entry.header_offset)
        magic, name_size, extra_size = _LOCAL_HEADER.unpack(file.read(_LOCAL_HEADER.size))
        start = entry.header_offset + _LOCAL_HEADER.size + name_size + extra_size
        if magic != b"PK\3\4" or start + entry.file_size > length:
            raise FormatError(f"its entry {name[:60]!r} is truncated")
        return start, entry.file_size

    def whole(name: str, most: int) -> bytes:
        start, size = place(name)
        if size > most:
            raise FormatError(f"its entry {name!r} has {size:,} bytes, more than {most:,}")
        file.seek(start)
        return file.read(size)

    if f"{prefix}byteorder" in entries and whole("byteorder", 10) != b"little":
        raise FormatError("it was saved on a big-endian machine; save it on another")
    return read_pickle(whole("data.pkl", MAX_PICKLE_BYTES), _Checkpoint(place, length))


class _Checkpoint:
    """Resolves the names and calls in a torch checkpoint (`pickled.Reading`)."""

    def __init__(self, place: Any, length: int) -> None:
        self.place = place
        self.left = length  # bytes left for tensors: overlapping ones could expand to more than the file holds

    def named(self, name: str) -> Name:
        """Accept the name of a class or function that a checkpoint may use."""
        if name.startswith(_OTHER_TENSORS) and name not in self.calls:
            raise ConfigError(f"it holds a tensor that is not dense ({name[:60]}); save dense float tensors")
        if name not in self.calls and name not in _STORAGES and name not in _PLAIN:
            raise CodeError(f"it names {name[:100]!r}")
        return Name(name)

    def called(self, name: Name, arguments: tuple[Any, ...]) -> Any:
        """Return what a call of `name` makes."""
        if name.text not in self.calls or len(arguments) > MAX_ARGUMENTS:
            raise PickleError(f"a call of {name.text[:60]}")
        return self.calls[name.text](self, *arguments)

    def stored(self, description: Any) -> _Storage:
        """("storage", type, key, device, count) → the archive entry with the numbers."""
        if not isinstance(description, tuple) or len(description) != 5 or description[0] != "storage":
            raise PickleError("an unknown object outside the pickle")
        _, kind, key, _, count = description
        if not isinstance(kind, Name) or kind.text not in _STORAGES or not _is_key(key):
            raise PickleError("a storage of unknown type; save dense float tensors")
        dtype = _STORAGES[kind.text]
        start, size = self.place(f"data/{key}")
        if not _is_count(count) or count * _BYTES[dtype] > size:
            raise PickleError(f"a storage that states more numbers than its entry {key[:60]!r} of {size:,} bytes holds")
        return _Storage(dtype, start, size)

    def updated(self, value: Any, state: Any) -> None:
        """Set the attributes of a Namespace; those of a state dict (its version) are ignored."""
        if isinstance(value, _Settings) and not value and type(state) is dict:
            value.update({str(key): each for key, each in state.items()})
        elif isinstance(value, _Dtype) and isinstance(state, tuple) and len(state) > 1 and state[1] in _ORDERS:
            object.__setattr__(value, "order", "<" if state[1] == "|" else state[1])
        elif type(value) is not dict:
            raise PickleError(f"a state of {type(value).__name__}")

    def _tensor(self, storage: Any, offset: Any, shape: Any, stride: Any, *_: Any) -> StoredTensor:
        """torch._utils._rebuild_tensor_v2."""
        if not isinstance(storage, _Storage) or not _is_count(offset):
            raise PickleError("a tensor without numbers (meta)")
        if not isinstance(shape, tuple) or len(shape) > MAX_DIMENSIONS or not all(map(_is_count, shape)):
            raise PickleError("a tensor of an impossible shape")
        width = _BYTES[storage.dtype]
        tensor = StoredTensor(storage.dtype, shape, storage.start + offset * width)
        if tensor.size and not _contiguous(shape, stride):
            raise ConfigError(
                f"it holds a tensor of shape {shape} that is not contiguous (expanded, transposed); save it contiguous"
            )
        if offset * width + tensor.size > storage.size:
            raise PickleError(f"a tensor of shape {shape} that is larger than its storage")
        self.left -= tensor.size
        if self.left < 0:
            raise PickleError("tensors that together are larger than the file: they share their numbers")
        if tensor.start % width:
            raise PickleError("a tensor that does not start at a number")
        return tensor

    def _parameter(self, tensor: Any, *_: Any) -> Any:
        return tensor

    def _ordered_dict(self, *items: Any) -> dict[Any, Any]:
        if items:
            raise PickleError("an OrderedDict made from another object")
        return {}

    def _namespace(self, *arguments: Any) -> _Settings:
        if arguments:
            raise PickleError("a Namespace made from arguments")
        return _Settings()

    def _size(self, *arguments: Any) -> Any:
        return arguments[0] if arguments and isinstance(arguments[0], tuple) else ()

    def _device(self, *arguments: Any) -> str:
        return str(arguments[0])[:60] if arguments and isinstance(arguments[0], str) else "device"

    def _dict(self, *_: Any) -> dict[Any, Any]:
        return {}

    def _path(self, *parts: Any) -> str:
        if not all(isinstance(part, str) for part in parts):
            raise PickleError("a path whose parts are not text")
        return "/".join(parts)[:1000]

    def _dtype(self, code: Any = None, *_: Any) -> _Dtype:
        if not isinstance(code, str) or code not in _SCALARS:
            raise PickleError("a numpy value that is not a number")
        return _Dtype(code)

    def _encoded(self, text: Any = None, encoding: Any = None) -> bytes:
        if not isinstance(text, str) or encoding != "latin1" or len(text) > 16:
            raise PickleError("bytes that do not encode a number")
        return text.encode("latin1")

    def _scalar(self, dtype: Any = None, data: Any = None) -> float:
        if not isinstance(dtype, _Dtype) or not isinstance(data, bytes):
            raise PickleError("a numpy value that is not a number")
        (number,) = struct.unpack(dtype.order + _SCALARS[dtype.code], data)
        return number  # type: ignore[no-any-return]

    calls: Mapping[str, Any] = {
        "collections.defaultdict": _dict,
        **dict.fromkeys(_LIGHTNING, _dict),
        **dict.fromkeys(_PATHS, _path),
        "numpy.dtype": _dtype,
        "_codecs.encode": _encoded,
        "numpy.core.multiarray.scalar": _scalar,
        "numpy._core.multiarray.scalar": _scalar,
        "torch._utils._rebuild_tensor_v2": _tensor,
        "torch._utils._rebuild_parameter": _parameter,
        "collections.OrderedDict": _ordered_dict,
        "argparse.Namespace": _namespace,
        "torch.Size": _size,
        "torch.device": _device,
    }


def _is_key(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= MAX_KEY


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _contiguous(shape: tuple[int, ...], stride: Any) -> bool:
    """Whether these are the strides of an array in C order; an axis of length 1 may have any stride."""
    if not isinstance(stride, tuple) or len(stride) != len(shape):
        return False
    step = 1
    for length, each in zip(reversed(shape), reversed(stride), strict=True):
        if length != 1 and each != step:
            return False
        step *= length
    return True
