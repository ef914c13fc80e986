"""Figures of a GPU: the benchmark runs without one on a tiny network, and a device computes what the CPU does."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from benchmarks import equal, gpu
from vitime_cache.model.network import ViTime

NO_CUDA = "needs a CUDA device: without one the same comparisons run from CPU to CPU in this file"


def test_every_part_runs_on_the_cpu_and_says_what_machine_it_was(capsys: pytest.CaptureFixture[str]) -> None:
    assert gpu.main(["--device", "cpu"]) == 0
    told = capsys.readouterr().out
    assert told.startswith(f"no card, torch {torch.__version__}, ")
    assert "a tiny network on the CPU: that everything runs, not how fast" in told
    for part in gpu.PARTS:
        assert f"\n{part} " in told
    for part in equal.PARTS:
        assert f"equal     {part}, " in told


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a card")
def test_where_there_is_no_card_one_line_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert gpu.main(["--only", "equal"]) == 2
    (line,) = capsys.readouterr().out.splitlines()
    assert "this machine has no CUDA device" in line
    assert "--device cpu" in line


def test_a_device_that_computes_something_else_is_found_out(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = iter([np.array([1.0, 2.1]), np.array([1.0, 2.0])])  # the device's, and the CPU's
    monkeypatch.setattr(equal, "PARTS", {"capture": lambda _: {"time_attention": next(runs)}})
    assert gpu.main(["--device", "cpu", "--only", "equal"]) == 1
    assert "time_attention: 5.0e-02 of the CPU's largest value: beyond 0.001" in capsys.readouterr().out


def test_a_number_that_is_missing_on_one_of_them_is_no_small_difference() -> None:
    assert equal._apart(np.array([1.0, np.nan]), np.array([1.0, 2.0])) == float("inf")
    assert equal._apart(np.array([1.0, np.nan]), np.array([1.0, np.nan])) == 0


@pytest.mark.skipif(not torch.cuda.is_available(), reason=NO_CUDA)
@pytest.mark.parametrize("part", list(equal.PARTS))
def test_on_a_cuda_device_everything_is_what_it_is_on_the_cpu(part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(equal, "PARTS", {part: equal.PARTS[part]})
    torch.manual_seed(0)
    model = ViTime(gpu.TINY).eval().requires_grad_(False)
    for _, name, apart in equal.differences(model, torch.device("cuda")):
        assert apart <= equal.TOLERANCE[part], name
