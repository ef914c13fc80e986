from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

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


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_the_numbers_are_those_that_torch_reads(tmp_path: Path, dtype: torch.dtype) -> None:
    content = golden_content()
    content["model"] = {key: value.to(dtype) for key, value in content["model"].items()}
    torch.save(content, tmp_path / "a.pth")
    state = load_model(tmp_path / "a.pth", device="cpu").state_dict()
    assert len(state) == len(content["model"])
    for key, value in content["model"].items():
        torch.testing.assert_close(state[key.removeprefix("model.")], value.float(), rtol=0, atol=0)


def test_training_state_beside_the_weights_is_no_hindrance(tmp_path: Path) -> None:
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
    with pytest.raises(CheckpointError, match="together larger than the file"):
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
    with pytest.raises(CheckpointError, match=r"ends in \.pth or \.safetensors"):
        load_model(tmp_path / "weights.zip")


def test_a_checkpoint_of_another_model_is_refused(tmp_path: Path) -> None:
    torch.save({"state_dict": {}}, tmp_path / "other.pth")
    with pytest.raises(CheckpointError, match="no ViTime checkpoint"):
        load_model(tmp_path / "other.pth")
    save_file({"w": torch.zeros(2)}, tmp_path / "other.safetensors")
    with pytest.raises(CheckpointError, match="carries no ViTime config"):
        load_model(tmp_path / "other.safetensors")


@pytest.mark.parametrize(
    ("spoil", "named"),
    [
        (lambda c: setattr(c["args"], "modelSize", 0.25), r"shape|blocks\.2"),
        (lambda c: setattr(c["args"], "h", 64), r"'pos_embed' has shape \(1, 161, 192\).*says \(1, 321, 192\)"),
        (lambda c: setattr(c["args"], "patch_size", (4, 30)), "columns 640 is not a multiple of patch_width 30"),
        (lambda c: delattr(c["args"], "maxScal"), "lacks the setting 'maxScal'"),
        (lambda c: setattr(c["args"], "size", "wide"), "describe no possible network"),
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
    with pytest.raises(CheckpointError, match="'gpu7' is no device"):
        load_model(GOLDEN_WEIGHTS, device="gpu7")
    if not torch.cuda.is_available():
        with pytest.raises(CheckpointError, match="no CUDA device that torch can use; use auto or cpu"):
            load_model(GOLDEN_WEIGHTS, device="cuda:0")
