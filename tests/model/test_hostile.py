"""Weights files made to do harm: each is read or refused in one line, within a limit of memory and of time."""

from __future__ import annotations

import argparse
import io
import json
import struct
import zipfile
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save

from tests.conftest import GOLDEN_WEIGHTS, random_model, small_config
from tests.isolated import Isolated, many
from vitime_cache.model.checkpoint import load_model, peek

SETTINGS = ("h", "size", "patch_size", "modelSize", "maxScal", "muNorm", "lossType", "expandData")
WEIGHT = "model.norm.bias"  # (192,)

numbers = st.sampled_from([-1, 0, 1, 3, 16, 10**9, 2**31, 2**62, 0.5, 1e9, 1e30, -1e30, 1e300]) | st.floats()
scalars = st.none() | st.booleans() | numbers | st.sampled_from(["", "MSE", "wide", "a" * 10_000])
values = scalars | st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
) | st.tuples(numbers, numbers) | st.lists(numbers, min_size=3, max_size=3)  # fmt: skip


def tensors() -> dict[str, Callable[[], Any]]:
    """Values that are not a dense float tensor of 192 numbers, or only just one."""
    return {
        "sparse": lambda: torch.eye(192).to_sparse(),
        "sparse row": lambda: torch.eye(192).to_sparse_csr(),
        "quantised": lambda: torch.quantize_per_tensor(torch.zeros(192), 0.1, 0, torch.qint8),
        "meta": lambda: torch.empty(192, device="meta"),
        "huge meta": lambda: torch.empty(3 * 10**12, device="meta"),
        "expanded": lambda: torch.zeros(1).expand(192),
        "hugely expanded": lambda: torch.zeros(1).expand(3 * 10**9),
        "transposed": lambda: torch.zeros(64, 3).t(),
        "strided": lambda: torch.zeros(384)[::2],
        "nested": lambda: torch.nested.nested_tensor([torch.zeros(2), torch.zeros(3)]),
        "integer": lambda: torch.zeros(192, dtype=torch.int64),
        "boolean": lambda: torch.zeros(192, dtype=torch.bool),
        "complex": lambda: torch.zeros(192, dtype=torch.complex64),
        "float8": lambda: torch.zeros(192).to(torch.float8_e4m3fn),
        "number": lambda: torch.tensor(1.0),
        "none": lambda: None,
        "list": lambda: [0.0] * 192,
        "parameter": lambda: torch.nn.Parameter(torch.zeros(192)),
        "double": lambda: torch.zeros(192, dtype=torch.float64),
        "part of a storage": lambda: torch.zeros(1000)[100:292],
    }


def golden_content() -> dict[str, Any]:
    with torch.serialization.safe_globals([argparse.Namespace]):
        return torch.load(GOLDEN_WEIGHTS, weights_only=True)  # type: ignore[no-any-return]


def attempt(path: str) -> None:
    """Everything that a user can do with a weights file."""
    peek(path)
    load_model(path, device="cpu")


@pytest.fixture(scope="module")
def child() -> Iterator[Isolated]:
    with Isolated(attempt) as isolated:
        yield isolated


@pytest.fixture(scope="module")
def whole_safetensors() -> bytes:
    model = random_model(small_config())
    return save(model.state_dict(), {"config": json.dumps(model.config.to_dict()), "note": "x"})


def saved(content: object) -> bytes:
    stream = io.BytesIO()
    torch.save(content, stream)
    return stream.getvalue()


def archive(pickle: bytes, method: int = zipfile.ZIP_STORED) -> bytes:
    """The golden checkpoint with another data.pkl."""
    stream = io.BytesIO()
    with zipfile.ZipFile(GOLDEN_WEIGHTS) as whole, zipfile.ZipFile(stream, "w", method) as other:
        for entry in whole.infolist():
            other.writestr(entry.filename, pickle if entry.filename.endswith("data.pkl") else whole.read(entry))
    return stream.getvalue()


def golden_pickle() -> bytes:
    with zipfile.ZipFile(GOLDEN_WEIGHTS) as whole:
        return whole.read("vitime_tiny/data.pkl")


def spoil(data: bytes, draw: st.DataObject) -> bytes:
    """A few bytes changed, doubled, cut out or cut off, or an operation put in that asks for a lot."""
    broken = bytearray(data)
    for _ in range(draw.draw(st.integers(1, 4))):
        at = draw.draw(st.integers(0, len(broken)))
        match draw.draw(st.sampled_from(["change", "cut out", "cut off", "double", "insert"])):
            case "change":
                broken[at : at + 1] = draw.draw(st.binary(min_size=1, max_size=1))
            case "cut out":
                del broken[at : at + draw.draw(st.integers(1, 9))]
            case "cut off":
                del broken[max(at, 1) :]
            case "double":
                broken[at:at] = broken[at : at + 40] * draw.draw(st.integers(1, 3))
            case "insert":
                broken[at:at] = draw.draw(st.sampled_from(OPERATIONS))
    return bytes(broken)


HUGE = [struct.pack("<I", 2**31 - 1), struct.pack("<I", 2**32 - 1)]
OPERATIONS = [
    b"N", b"0", b"(", b")", b"]", b"}", b".", b"R", b"b", b"\x81", b"Q", b"2", b"1", b"\x8f", b"\x90", b"\x97", b"\x98",
    *(code + huge for code in (b"r", b"j", b"X", b"B", b"T", b"\x8b") for huge in HUGE),
    b"\x96" + struct.pack("<Q", 2**34), b"\x8e" + struct.pack("<Q", 2**62), b"\x95" + struct.pack("<Q", 2**40),
    b"cos\nsystem\n", b"cbuiltins\neval\n", b"cargparse\nNamespace\n", b"ccollections\nOrderedDict\n", b"\x80\x05",
    b"cbuiltins\nbytearray\nJ\xff\xff\xff\x7f\x85R", b"ctorch\nzeros\nJ\xff\xff\xff\x7f\x85R",
    b"\x8a\xff" + b"\x7f" * 255, b"I01\n", b"L" + b"9" * 9999 + b"L\n",
    b"N" * 200_000, b"(" * 200_000, b"]" + b"2a" * 99_999,
]  # fmt: skip


@many
@given(st.dictionaries(st.sampled_from(SETTINGS), values, min_size=1, max_size=2))
def test_settings_of_any_kind_are_refused_or_read(child: Isolated, changed: dict[str, Any]) -> None:
    content = golden_content()
    vars(content["args"]).update(changed)
    child.harmless("settings.pth", saved(content))


@pytest.mark.filterwarnings("ignore::UserWarning")  # torch: some kinds are new, or on their way out
@pytest.mark.parametrize("kind", tensors())
def test_a_tensor_of_any_kind_is_refused_unless_it_is_dense_and_of_the_right_shape(child: Isolated, kind: str) -> None:
    content = golden_content()
    content["model"][WEIGHT] = tensors()[kind]()
    verdict = child.harmless("tensor.pth", saved(content))
    assert verdict.outcome == ("read" if kind in ("parameter", "double", "part of a storage") else "refused")


@many
@given(st.data())
def test_keys_and_values_of_any_kind_are_refused_or_read(child: Isolated, data: st.DataObject) -> None:
    content = golden_content()
    part = data.draw(st.sampled_from([content, content["model"], vars(content["args"])]))
    kinds = tensors()
    key = data.draw(st.sampled_from(list(part)) | st.none() | st.integers() | st.text() | st.tuples(st.integers()))
    value = data.draw(values | st.sampled_from(list(kinds)).map(lambda kind: kinds[kind]()))
    part[key] = value
    child.harmless("keys.pth", saved(content))


@many
@given(st.data())
def test_a_pickle_broken_anywhere_is_refused_or_read(child: Isolated, data: st.DataObject) -> None:
    child.harmless("pickle.pth", archive(spoil(golden_pickle(), data)))


@many
@given(st.data())
def test_an_archive_broken_at_its_ends_is_refused_or_read(child: Isolated, data: st.DataObject) -> None:
    whole = GOLDEN_WEIGHTS.read_bytes()
    head, tail = data.draw(st.integers(0, 300)), data.draw(st.integers(0, 6000))
    parts = whole[:head], whole[head : len(whole) - tail], whole[len(whole) - tail :]
    at = data.draw(st.sampled_from([0, 2]))
    changed = [spoil(part, data) if place == at else part for place, part in enumerate(parts)]
    child.harmless("archive.pth", b"".join(changed))


BOMBS: dict[str, Callable[[], bytes]] = {
    "a list of millions": lambda: b"\x80\x02]" + b"N" * 60_000_000 + b"e.",
    "lists within lists": lambda: b"\x80\x02" + b"]2a" * 20_000_000 + b".",
    "a text of 200 MB": lambda: b"\x80\x02X" + struct.pack("<I", 200_000_000) + b"a" * 200_000_000 + b".",
}


@pytest.mark.parametrize("bomb", BOMBS)
@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED], ids=["stored", "deflated"])
def test_a_pickle_of_millions_of_objects_is_refused(child: Isolated, bomb: str, method: int) -> None:
    verdict = child.harmless("bomb.pth", archive(BOMBS[bomb](), method))
    assert verdict.outcome == "refused"
    assert ("more than 1,000,000" if method == zipfile.ZIP_STORED else "compressed") in verdict.message
    assert verdict.seconds < 10


def test_a_depth_of_a_billion_is_refused_at_once(child: Isolated, whole_safetensors: bytes) -> None:
    content = golden_content()
    content["args"].modelSize = 1e9
    assert child.harmless("deep.pth", saved(content)).outcome == "refused"
    for field in ("encoder_depth", "decoder_depth"):
        data = whole_safetensors.replace(f'\\"{field}\\": '.encode(), f'\\"{field}\\": 99999999'.encode())
        length = int.from_bytes(whole_safetensors[:8], "little") + len(data) - len(whole_safetensors)
        data = length.to_bytes(8, "little") + data[8:]
        assert child.harmless("deep.safetensors", data).outcome == "refused"


@many
@given(st.data())
def test_a_safetensors_header_of_any_kind_is_refused_or_read(
    child: Isolated, whole_safetensors: bytes, data: st.DataObject
) -> None:
    size = int.from_bytes(whole_safetensors[:8], "little")
    header, body = json.loads(whole_safetensors[8 : 8 + size]), whole_safetensors[8 + size :]
    config = json.loads(header["__metadata__"]["config"])
    entry = header[data.draw(st.sampled_from(sorted(header)))]
    match data.draw(st.sampled_from(["metadata", "config", "field", "fields", "tensor", "tensors", "length", "bytes"])):
        case "metadata":
            header["__metadata__"] = data.draw(values)
        case "config":
            header["__metadata__"]["config"] = json.dumps(data.draw(values))
        case "field":
            config[data.draw(st.sampled_from(sorted(config)))] = data.draw(values)
            header["__metadata__"]["config"] = json.dumps(config)
        case "fields":
            header["__metadata__"]["config"] = json.dumps(config | {field: data.draw(numbers) for field in config})
        case "tensor":
            entry[data.draw(st.sampled_from(sorted(entry)) | st.text())] = data.draw(values)
        case "tensors":
            header[data.draw(st.sampled_from(sorted(header)) | st.text())] = data.draw(values)
        case "length":
            size = data.draw(st.integers(0, 2**64 - 1) | st.integers(0, 9000))
            text = json.dumps(header).encode()
            child.harmless("header.safetensors", size.to_bytes(8, "little") + text + body)
            return
    text = json.dumps(header).encode()
    if data.draw(st.booleans()):
        text = spoil(text, data)
    child.harmless("header.safetensors", len(text).to_bytes(8, "little") + text + body)
