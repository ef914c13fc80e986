from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from tests.conftest import GOLDEN_WEIGHTS, random_model, small_config
from vitime_cache import places
from vitime_cache.model import checkpoint
from vitime_cache.model.checkpoint import CheckpointError, load_model, peek, save_safetensors


def golden_content() -> dict[str, object]:
    with torch.serialization.safe_globals([argparse.Namespace]):
        return torch.load(GOLDEN_WEIGHTS, weights_only=True)


def test_the_published_format_tells_its_config() -> None:
    config = load_model(GOLDEN_WEIGHTS, device="cpu").config
    assert (config.heads, config.encoder_depth, config.decoder_depth, config.mu_norm) == (3, 2, 1, 2.0)
    assert config.grid == (8, 20)


def test_keys_with_a_module_prefix_and_older_args_are_read(tmp_path: Path) -> None:
    content = golden_content()
    content["model"] = {f"module.{key}": value for key, value in content["model"].items()}
    for name in ("muNorm", "expandData", "dropout"):
        delattr(content["args"], name)
    torch.save(content, tmp_path / "old.pth")
    assert load_model(tmp_path / "old.pth", device="cpu").config.mu_norm is None


def test_expand_data_multiplies_both_sizes(tmp_path: Path) -> None:
    content = golden_content()
    content["args"].size, content["args"].expandData = [128, 0, 192], 2
    torch.save(content, tmp_path / "expanded.pth")
    assert load_model(tmp_path / "expanded.pth", device="cpu").config.columns == 640


def test_safetensors_keep_config_weights_and_note(tmp_path: Path) -> None:
    model = random_model(small_config(mu_norm=2.0))
    save_safetensors(model, tmp_path / "a.safetensors", note="a test", dtype="float32")
    loaded = load_model(tmp_path / "a.safetensors", device="cpu")
    assert loaded.config == model.config
    assert (loaded.weights.name, loaded.weights.note) == ("a", "a test")
    image = torch.rand(1, 1, 16, 48)
    torch.testing.assert_close(loaded(image), model(image), rtol=0, atol=0)
    assert peek(tmp_path / "a.safetensors") == (model.config, loaded.weights)


@pytest.mark.parametrize("kind", ["safetensors", "pth"])
def test_a_peek_does_not_import_torch(tmp_path: Path, kind: str) -> None:
    save_safetensors(random_model(small_config()), tmp_path / "a.safetensors")
    shutil.copy(GOLDEN_WEIGHTS, tmp_path / "a.pth")
    code = (
        "import sys; from vitime_cache.model.checkpoint import peek; "
        f"peek({str(tmp_path / f'a.{kind}')!r}); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_a_file_is_read_once_and_again_when_it_has_changed(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    save_safetensors(random_model(small_config()), path)
    first = peek(path)
    assert peek(path)[1] is first[1]
    save_safetensors(random_model(small_config(), seed=1), path)
    assert peek(path)[1].sha256 != first[1].sha256
    assert peek(path)[1].sha256 == load_model(path, "cpu").weights.sha256 == checkpoint.sha256(path)


def test_a_file_that_is_copied_over_changes_no_loaded_network_and_is_refused_while_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, other = tmp_path / "a.safetensors", tmp_path / "other.safetensors"
    save_safetensors(random_model(small_config()), path, dtype="float32")
    save_safetensors(random_model(small_config(), seed=1), other, dtype="float32")
    model = load_model(path, "cpu")
    before = {name: value.clone() for name, value in model.state_dict().items()}
    shutil.copyfile(other, path)  # into the same file
    for name, value in model.state_dict().items():
        torch.testing.assert_close(value, before[name], rtol=0, atol=0)

    def copied_over(*arguments: object) -> object:
        save_safetensors(random_model(small_config()), path, dtype="float32")
        return read(*arguments)

    for reads in ("_read_tensors", "_read_header"):
        save_safetensors(random_model(small_config(), seed=1), path, dtype="float32")
        with monkeypatch.context() as patch:
            read = getattr(checkpoint, reads)
            patch.setattr(checkpoint, reads, copied_over)
            with pytest.raises(CheckpointError, match=r"a\.safetensors was replaced while it was read; try again"):
                load_model(path, "cpu")


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_the_numbers_are_those_that_torch_reads(tmp_path: Path, dtype: torch.dtype) -> None:
    content = golden_content()
    content["model"] = {key: value.to(dtype) for key, value in content["model"].items()}
    torch.save(content, tmp_path / "a.pth")
    state = load_model(tmp_path / "a.pth", device="cpu").state_dict()
    assert len(state) == len(content["model"])
    for key, value in content["model"].items():
        torch.testing.assert_close(state[key.removeprefix("model.")], value.float(), rtol=0, atol=0)


def test_training_state_in_the_file_does_not_matter(tmp_path: Path) -> None:
    content = golden_content()
    weight = torch.nn.Parameter(torch.ones(3))
    optimizer = torch.optim.AdamW([weight])
    weight.sum().backward()
    optimizer.step()
    extra = {"optimizer": optimizer.state_dict(), "device": torch.device("cuda:0"), "shape": torch.Size([1, 2])}
    torch.save(content | extra, tmp_path / "a.pth")
    assert peek(tmp_path / "a.pth")[0] == peek(GOLDEN_WEIGHTS)[0]


def test_weights_that_share_their_numbers_are_refused(tmp_path: Path) -> None:
    content = golden_content()
    flat = torch.zeros(max(value.numel() for value in content["model"].values()))
    content["model"] = {key: flat[: value.numel()].view(value.shape) for key, value in content["model"].items()}
    torch.save(content, tmp_path / "shared.pth")
    with pytest.raises(CheckpointError, match="together are larger than the file"):
        peek(tmp_path / "shared.pth")


def test_bfloat16_is_loaded_on_request() -> None:
    model = load_model(GOLDEN_WEIGHTS, device="cpu", dtype="bfloat16")
    assert model.dtype == torch.bfloat16
    with pytest.raises(CheckpointError, match="'float8'"):
        load_model(GOLDEN_WEIGHTS, dtype="float8")


def test_a_missing_file_says_where_the_published_one_is_and_where_to_put_it(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"does not exist.*https://github.*put it at .*ViTime_Model\.pth"):
        load_model(tmp_path / "ViTime_Model.pth")
    with pytest.raises(CheckpointError, match="is a folder"):
        load_model(tmp_path)
    os.mkfifo(tmp_path / "pipe.pth")
    (tmp_path / "zeros.safetensors").symlink_to("/dev/zero")
    for endless in ("pipe.pth", "zeros.safetensors"):
        with pytest.raises(CheckpointError, match="is no regular file"):
            load_model(tmp_path / endless)


def test_the_published_file_is_preferred_to_the_shipped_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "WEIGHTS", tmp_path)
    with pytest.raises(CheckpointError, match="no weights in"):
        checkpoint.find_weights()
    for name in (checkpoint.SHIPPED_NAME, checkpoint.PUBLISHED_NAME):
        (tmp_path / name).touch()
        assert checkpoint.find_weights().name == name


class Payload:
    """Unpickling it would create a file."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.target),)


def test_a_file_with_pickled_code_is_refused_and_the_code_not_run(tmp_path: Path) -> None:
    content = golden_content()
    content["epoch"] = Payload(tmp_path / "ran")
    torch.save(content, tmp_path / "evil.pth")
    with pytest.raises(CheckpointError, match="could run code"):
        load_model(tmp_path / "evil.pth")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.9, 0.999])
@pytest.mark.parametrize("kind", ["pth", "safetensors"])
def test_a_truncated_file_is_refused_at_any_length(tmp_path: Path, share: float, kind: str) -> None:
    whole = GOLDEN_WEIGHTS
    if kind == "safetensors":
        whole = tmp_path / "whole.safetensors"
        save_safetensors(random_model(small_config()), whole)
    content = whole.read_bytes()
    (tmp_path / f"cut.{kind}").write_bytes(content[: int(len(content) * share)])
    with pytest.raises(CheckpointError, match=r"truncated|damaged"):
        load_model(tmp_path / f"cut.{kind}")


@pytest.mark.parametrize("name", ["noise.pth", "noise.safetensors"])
def test_a_file_of_noise_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(os.urandom(4096))
    with pytest.raises(CheckpointError, match=r"truncated|damaged"):
        load_model(tmp_path / name)


def test_another_kind_of_file_is_refused_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "weights.zip").touch()
    with pytest.raises(CheckpointError, match=r"ends in \.pth, .* or \.safetensors"):
        load_model(tmp_path / "weights.zip")


def test_a_checkpoint_of_another_model_is_refused(tmp_path: Path) -> None:
    torch.save({"state_dict": {}}, tmp_path / "other.pth")
    with pytest.raises(CheckpointError, match="not a ViTime checkpoint"):
        load_model(tmp_path / "other.pth")
    save_file({"w": torch.zeros(2)}, tmp_path / "other.safetensors")
    with pytest.raises(CheckpointError, match="has no ViTime config"):
        load_model(tmp_path / "other.safetensors")


@pytest.mark.parametrize(
    ("spoil", "named"),
    [
        (lambda c: setattr(c["args"], "modelSize", 0.25), r"shape|blocks\.2"),
        (lambda c: setattr(c["args"], "h", 64), r"'pos_embed' has shape \(1, 161, 192\).*says \(1, 321, 192\)"),
        (lambda c: setattr(c["args"], "patch_size", (4, 30)), "columns 640 is not a multiple of patch_width 30"),
        (lambda c: delattr(c["args"], "maxScal"), "lacks the setting 'maxScal'"),
        (lambda c: setattr(c["args"], "size", "wide"), "describe an impossible network"),
        (lambda c: c["model"].pop("model.norm.bias"), r"lacks the weight 'norm\.bias'"),
        (lambda c: c["model"].update({"model.extra": torch.zeros(1)}), "beyond its config, the first 'extra'"),
        (lambda c: c["model"].update({"head.weight": torch.zeros(1)}), r"unexpected weight 'head\.weight'"),
        (lambda c: c["model"].update({"model.norm.bias": 3}), "holds int under"),
        (lambda c: c["model"]["model.norm.bias"].fill_(float("nan")), r"'norm\.bias' holds NaN"),
        (lambda c: c.update(model=[1]), "'model' must be a state dict"),
    ],
)
def test_disagreement_inside_a_checkpoint_is_named(tmp_path: Path, spoil: object, named: str) -> None:
    content = golden_content()
    spoil(content)  # type: ignore[operator]
    torch.save(content, tmp_path / "spoilt.pth")
    with pytest.raises(CheckpointError, match=named):
        load_model(tmp_path / "spoilt.pth")


@pytest.mark.parametrize(
    "config", ["not json", json.dumps({"heads": 3}), json.dumps([1, 2]), json.dumps({"image_height": "a" * 9})]
)
def test_safetensors_with_an_impossible_config_are_refused(tmp_path: Path, config: str) -> None:
    save_file({"w": torch.zeros(2)}, tmp_path / "bad.safetensors", metadata={"config": config})
    with pytest.raises(CheckpointError):
        load_model(tmp_path / "bad.safetensors")


def test_a_device_that_is_not_there_is_an_error_with_the_remedy() -> None:
    with pytest.raises(CheckpointError, match="'gpu7' is not a device"):
        load_model(GOLDEN_WEIGHTS, device="gpu7")
    if not torch.cuda.is_available():
        with pytest.raises(CheckpointError, match="no CUDA device that torch can use; use auto or cpu"):
            load_model(GOLDEN_WEIGHTS, device="cuda:0")


WRAPPINGS = [
    "module.",
    "_orig_mod.",
    "module._orig_mod.",
    "_orig_mod.module.",
    "module.module._orig_mod.",
    "model.module.",
]


@pytest.mark.parametrize("wrapping", [*WRAPPINGS, "model.module.", "model._orig_mod.model."])
def test_names_in_any_nesting_of_wrappers_are_read(tmp_path: Path, wrapping: str) -> None:
    content = golden_content()
    expected = {key.removeprefix("model."): value for key, value in content["model"].items()}
    content["model"] = {f"{wrapping}{key}": value for key, value in content["model"].items()}
    torch.save(content, tmp_path / "a.pth")
    found = load_model(tmp_path / "a.pth", device="cpu").state_dict()
    assert all(torch.equal(found[key], value.float()) for key, value in expected.items())


def test_wrappers_between_the_parts_of_a_name_are_taken_out_and_a_name_twice_is_refused(tmp_path: Path) -> None:
    content = golden_content()
    state = {key.replace("model.blocks.0.", "model.blocks._orig_mod.0."): v for key, v in content["model"].items()}
    torch.save(content | {"model": state}, tmp_path / "a.pth")
    assert load_model(tmp_path / "a.pth", device="cpu").config.encoder_depth == 2
    twice = content["model"] | {"module.model.norm.bias": content["model"]["model.norm.bias"]}
    torch.save(content | {"model": twice}, tmp_path / "b.pth")
    with pytest.raises(CheckpointError, match=r"'norm\.bias' twice"):
        load_model(tmp_path / "b.pth")


def golden_config() -> dict[str, object]:
    return load_model(GOLDEN_WEIGHTS, device="cpu").config.to_dict()


def write_config(folder: Path, kind: str) -> Path:
    """The golden file's config as a file of that kind."""
    path = folder / f"config.{'toml' if kind == 'toml' else 'json'}"
    if kind == "settings":
        path.write_text(json.dumps(vars(golden_content()["args"])))
    elif kind == "toml":
        path.write_text("".join(f"{key} = {json.dumps(value)}\n" for key, value in golden_config().items()))
    else:
        path.write_text(json.dumps(golden_config()))
    return path


@pytest.mark.parametrize("kind", ["json", "toml", "settings"])
def test_a_bare_state_dict_is_read_with_a_separate_config(tmp_path: Path, kind: str) -> None:
    torch.save(golden_content()["model"], tmp_path / "bare.bin")
    with pytest.raises(CheckpointError, match=r"bare state dict.*--config FILE, config="):
        load_model(tmp_path / "bare.bin")
    config = write_config(tmp_path, kind)
    found = load_model(tmp_path / "bare.bin", "cpu", config=config)
    assert found.config == load_model(GOLDEN_WEIGHTS, device="cpu").config
    assert peek(tmp_path / "bare.bin", config=found.config) == (found.config, found.weights)


def test_a_file_that_is_not_a_config_is_refused_in_one_line(tmp_path: Path) -> None:
    torch.save(golden_content()["model"], tmp_path / "bare.pth")
    for text in ("", "[" * 100_000, "[1]", '{"heads": 3}', '{"modelSize": "big"}', "\udcff"):
        (tmp_path / "c.json").write_text(text, errors="surrogateescape")
        with pytest.raises(CheckpointError, match=r"c\.json is not the config of a network: .+") as told:
            load_model(tmp_path / "bare.pth", config=tmp_path / "c.json")
        assert "\n" not in str(told.value)
    with pytest.raises(CheckpointError, match="no file of at most"):
        load_model(tmp_path / "bare.pth", config=tmp_path / "none.json")


def test_safetensors_without_metadata_are_read_with_their_config(tmp_path: Path) -> None:
    state = {f"module.{key}": value.clone() for key, value in golden_content()["model"].items()}
    save_file(state, tmp_path / "a.safetensors")
    with pytest.raises(CheckpointError, match=r"has no ViTime config.*--config"):
        load_model(tmp_path / "a.safetensors")
    found = load_model(tmp_path / "a.safetensors", "cpu", config=write_config(tmp_path, "json"))
    assert found.config.to_dict() == golden_config()


class PosixPath:
    """A path as Python 3.13 pickles it."""

    __module__, __qualname__ = "pathlib._local", "PosixPath"

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), ("/", "runs")


def test_checkpoints_of_lightning_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = golden_content()
    saved = {
        "state_dict": {f"net.{key}".removeprefix("net."): value for key, value in content["model"].items()},
        "hyper_parameters": {"args": vars(content["args"]), "lr": np.float64(1e-3), "out": Path("runs")},
        "callbacks": {"best": {"score": np.float32(0.1), "epoch": np.int64(3)}},
        "loops": defaultdict(dict),
        "epoch": 3,
    }
    if "pathlib._local" not in sys.modules:
        monkeypatch.setitem(sys.modules, "pathlib._local", SimpleNamespace(PosixPath=PosixPath))
        saved["folder"] = PosixPath()
    torch.save(saved, tmp_path / "last.ckpt")
    assert load_model(tmp_path / "last.ckpt", "cpu").config.to_dict() == golden_config()


@pytest.mark.parametrize("as_dict", [True, False])
def test_numpy_scalars_among_the_settings_and_settings_as_a_dict_are_read(tmp_path: Path, as_dict: bool) -> None:
    content = golden_content()
    args = vars(content["args"])
    args |= {
        "modelSize": np.float64(args["modelSize"]),
        "h": np.int64(args["h"]),
        "maxScal": np.float32(args["maxScal"]),
    }
    args |= {"muNorm": np.float16(args["muNorm"]), "dropout": np.float64("nan"), "use": np.bool_(True)}
    args["size"] = [np.int32(each) for each in args["size"]]
    torch.save(content | ({"args": args} if as_dict else {}), tmp_path / "A.PTH")
    assert load_model(tmp_path / "A.PTH", "cpu").config.to_dict() == golden_config()


def test_numpy_values_that_are_not_numbers_are_refused(tmp_path: Path) -> None:
    for value in (np.datetime64("2020-01-01"), np.str_("a"), np.complex128(1j), np.zeros(3), np.array("a", object)):
        content = golden_content()
        content["args"].extra = value
        torch.save(content, tmp_path / "a.pth")
        with pytest.raises(CheckpointError, match=r"a\.pth"):
            load_model(tmp_path / "a.pth")


def test_an_older_published_file_is_named_as_such(tmp_path: Path) -> None:
    content = golden_content()
    content["model"]["RefiningModel.layers.0.weight"] = torch.zeros(3)
    torch.save(content, tmp_path / "V1.pth")
    with pytest.raises(CheckpointError, match=r"one of ViTime's older published files.*RefiningModel"):
        load_model(tmp_path / "V1.pth")


FOREIGN = {
    "a web page": b"\n<!DOCTYPE html><html><head><title>Sign in</title>",
    "a Git LFS pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3\n",
    "torch before 1.6": b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.",
    "a bare pickle": b"\x80\x04\x95\x10\x00\x00\x00\x00\x00\x00\x00}\x94.",
    "compressed": b"\x1f\x8b\x08\x00abcdefghijk",
    "in HDF5": b"\x89HDF\r\n\x1a\n",
    "empty": b"",
}


@pytest.mark.parametrize("ending", checkpoint.ENDINGS)
@pytest.mark.parametrize("kind", FOREIGN)
def test_a_file_that_holds_no_weights_is_told_what_it_is(tmp_path: Path, kind: str, ending: str) -> None:
    path = tmp_path / f"weights{ending}"
    path.write_bytes(FOREIGN[kind])
    with pytest.raises(CheckpointError, match=rf"weights{ending} is not a weights file: it is .*{kind}") as told:
        load_model(path)
    assert "\n" not in str(told.value)


def test_the_legacy_format_is_known_by_what_torch_writes(tmp_path: Path) -> None:
    torch.save({"model": {}}, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    with pytest.raises(CheckpointError, match=r"torch before 1\.6"):
        load_model(tmp_path / "old.pth")


def test_a_file_is_read_by_what_it_holds_and_not_by_its_name(tmp_path: Path) -> None:
    save_safetensors(random_model(small_config()), tmp_path / "a.safetensors")
    shutil.copy(tmp_path / "a.safetensors", tmp_path / "b.bin")
    shutil.copy(GOLDEN_WEIGHTS, tmp_path / "c.CKPT")
    assert load_model(tmp_path / "b.bin", "cpu").config == small_config()
    assert load_model(tmp_path / "c.CKPT", "cpu").config.heads == 3
