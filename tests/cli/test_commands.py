"""The command through `main(argv)`, on temporary folders."""

from __future__ import annotations

import errno
import json
import os
import re
import shlex
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.conftest import random_model, small_config
from tests.store.standin import files
from vitime_cache.cli import build, console
from vitime_cache.cli.main import main
from vitime_cache.evidence.verdict.mock import mock_verdict
from vitime_cache.model.checkpoint import peek, save_safetensors
from vitime_cache.series.sources import catalogue
from vitime_cache.store.reader import open_store

INPUT = "one,two\n" + "\n".join(f"{np.sin(i / 3):.5f},{np.cos(i / 5):.5f}" for i in range(24)) + "\n"


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "small.safetensors"
    save_safetensors(random_model(small_config()), path)
    return path


@pytest.fixture
def folder(tmp_path, monkeypatch, weights) -> Path:
    """A working directory with weights and a file of two signals."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    (tmp_path / "small.safetensors").symlink_to(weights)
    (tmp_path / "data.csv").write_text(INPUT)
    return tmp_path


BUILD = "build data.csv --weights small.safetensors --horizon 28"


def run(command: str) -> int:
    return main(command.split())


def stores(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob("*.zarr")]


@pytest.mark.parametrize("columns", ["0", "1", "20"])
@pytest.mark.usefixtures("folder")
def test_where_there_is_no_room_for_a_table_its_numbers_are_printed_all_the_same(columns, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", columns)
    assert run("signals data.csv --horizon 28") == 0
    assert re.search(r"one +│ 24 +│ 28 ", capsys.readouterr().out)


@pytest.mark.parametrize("columns", ["20", "60", "80"])
def test_no_figure_of_a_table_is_cut_in_a_narrow_terminal(columns, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", columns)
    console.show_verdict(mock_verdict(), console.console)
    table = [line for line in capsys.readouterr().out.splitlines() if line.startswith(("│", "┃"))]
    assert re.search(r"decoder.0 0 +│ +0.135 ✓ +│ +0.252 ✓ +│", "\n".join(table))
    assert not [line for line in table if "…" in line]


@pytest.mark.parametrize(("set_by_user", "seen"), [({}, "3000"), ({"GOMP_SPINCOUNT": "7"}, "7")])
def test_threads_of_a_command_soon_sleep_where_they_wait_unless_the_user_says_otherwise(monkeypatch, set_by_user, seen):
    """Set before torch is loaded, which reads it."""
    monkeypatch.setattr(os, "environ", {name: value for name, value in os.environ.items() if "SPIN" not in name})
    os.environ.update(set_by_user)
    with pytest.raises(SystemExit):
        main(["--version"])
    assert os.environ["GOMP_SPINCOUNT"] == seen


def test_build_info_verify_and_build_again(folder, capsys):
    assert run(BUILD) == 0
    told = capsys.readouterr()
    assert re.search(r"signals +2 to write, 0 there already", told.out)
    assert re.search(r"token_attention .* kB", told.out)
    assert "2 signals written to store/small.zarr" in told.out
    assert open_store("store/small.zarr").signal.values.tolist() == ["one", "two"]

    assert run(BUILD) == 0
    assert capsys.readouterr().out == "nothing to do: 2 signals already in store/small.zarr\n"

    assert run("info store/small.zarr") == 0
    assert "2 complete of 2 planned, 2 visible" in capsys.readouterr().out
    assert run("info store/small.zarr --json") == 0
    found = json.loads(capsys.readouterr().out)
    assert [signal["name"] for signal in found["signals"]] == ["one", "two"]

    verify = "verify store/small.zarr --weights small.safetensors --inputs data.csv --horizon 28"
    assert run(verify) == 0
    assert re.search("sound .*captured again: one", capsys.readouterr().out)
    for other, words in ((verify.replace("--horizon 28", "--horizon 29"), "flags of its build, such as --horizon"),
                         (verify.partition(" --inputs")[0], "with --inputs")):  # fmt: skip
        assert run(other) == 0
        assert words in " ".join(capsys.readouterr().err.split())
    damaged = folder / "store/small.zarr/token_attention/c.1.0.0.0.0"
    content = damaged.read_bytes()
    damaged.write_bytes(content[:-1400] + b"\0\1" + content[-1398:])
    assert run(verify) == 1
    told = capsys.readouterr()
    assert told.err.startswith("signal 'two', layer decoder.0, head 1: token_attention/c.1.0.0.0.0 is not what")
    assert "verify --repair" in told.err
    assert run(f"{verify} --repair") == 1
    assert run(f"{BUILD} --quiet") == 0
    capsys.readouterr()
    assert run(verify) == 0


def test_a_build_names_the_signals_that_stay_without_the_token_maps_asked_for(folder, capsys):
    assert run(f"{BUILD} --tokens none") == 0
    assert "stay without" not in capsys.readouterr().out
    assert run(BUILD) == 0
    told = capsys.readouterr().out
    assert told.startswith("nothing to do")
    assert "one and 1 more stay without some of the requested token maps" in told
    (folder / "data.csv").write_text(INPUT.replace("two", "three"))
    assert run(BUILD) == 0
    told = capsys.readouterr().out
    assert "1 signal written" in told
    assert "one stays without" in told


@pytest.mark.parametrize("command", ["signals", "build", "ask", "ask --all"])
@pytest.mark.parametrize("flag", ["--column one", "--missing -999"])
def test_a_file_behind_a_flag_that_takes_every_word_is_no_question_about_the_catalogue(folder, capsys, command, flag):
    assert run(f"{command} {flag} data.csv") == 1
    assert f"no file is named for {flag.split()[0]}, which takes every word behind it" in capsys.readouterr().err
    assert not (folder / "store").exists()


def test_the_example_of_build_names_a_layer_of_the_shipped_weights():
    config = peek(None)[0]
    words = shlex.split(build.EXAMPLE)
    assert words[words.index("--tokens") + 1] in config.layers


def test_quiet_prints_nothing(folder, capsys):  # noqa: ARG001
    assert run(f"{BUILD} --quiet") == 0
    assert capsys.readouterr() == ("", "")


def test_progress_shows_signals_per_second(folder, capsys):  # noqa: ARG001
    assert run(BUILD) == 0
    assert re.search(r"2/2 +[0-9.]+ signals/s", capsys.readouterr().err)


def test_the_catalogue_is_what_is_built_without_files(folder, capsys, monkeypatch):  # noqa: ARG001
    first = catalogue()[:3]
    monkeypatch.setattr("vitime_cache.series.sources.catalogue", lambda: first)
    assert run("build --weights small.safetensors --tokens none --store all.zarr --horizon 600") == 0
    ds = open_store("all.zarr")
    assert ds.signal.values.tolist() == [signal.name for signal in first]
    assert (ds.horizon == 600).all()
    assert "token_attention" not in ds
    capsys.readouterr()


def test_options_reach_the_build(folder, monkeypatch):  # noqa: ARG001
    import vitime_cache.store.build

    seen = {}
    monkeypatch.setattr(vitime_cache.store.build, "build", lambda *args, **options: seen.update(options, args=args))
    assert run(
        "build data.csv --store s3://b/a.zarr --weights w.pth --tokens decoder.0,encoder.1 --device cuda:1 --quiet "
        "--dtype float16 --batch-size 4 --workers tcp://host:8786 --max-size 1.5"
    ) == 0  # fmt: skip
    assert seen.pop("args")[1:] == ("s3://b/a.zarr", "w.pth")
    assert seen == {
        "tokens": ["decoder.0", "encoder.1"], "device": "cuda:1", "dtype": "float16", "batch_size": 4,
        "workers": "tcp://host:8786", "max_size": 1.5e9,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("files_", "command", "message"),
    [({}, "build missing.csv --weights small.safetensors", "missing.csv"),
     ({"bad.csv": "a\n1\n2\nx\n4\n"}, "build bad.csv --weights small.safetensors", "'x'"),
     ({"gap.csv": "a\n1\n\nnan\n4\n"}, "build gap.csv --weights small.safetensors", "gap.csv"),
     ({"two.csv": "one\n1\n2\n3\n"}, BUILD.replace("data.csv", "data.csv two.csv"), "signals are named 'one'"),
     ({}, f"{BUILD} --tokens encoder.9", "no layer 'encoder.9'"),
     ({}, "build data.csv --weights none.safetensors", "none.safetensors does not exist"),
     ({"w.pth": "no weights"}, "build data.csv --weights w.pth --store a.zarr", "w.pth is truncated or damaged"),
     ({}, f"{BUILD} --max-size 0.000012", "--tokens none"),
     ({}, f"{BUILD} --store wrong://a", "wrong"),
     ({}, f"{BUILD} --store data.csv", "data.csv"),
     ({}, f"{BUILD} --device cuda:77", "device"),
     ({}, "info nothing.zarr", "no store at nothing.zarr"), ({}, "verify nothing.zarr", "no store at nothing.zarr")],
)  # fmt: skip
def test_bad_input_is_one_line_that_names_it_and_nothing_is_written(folder, capsys, files_, command, message):
    for name, content in files_.items():
        (folder / name).write_text(content)
    before = files(folder)
    assert run(command) == 1
    errors = capsys.readouterr().err.strip()
    assert errors.startswith("error: ")
    assert "\n" not in errors
    assert message in errors
    assert files(folder) == before
    assert stores(folder) == []


@pytest.mark.parametrize(
    ("flags", "message"),
    [("--batch-size 0", "'0' is not a whole number from 1 on"), ("--horizon -3", "'-3' is not a whole number"),
     ("--workers none", "neither a number of processes nor an address"), ("--workers 0", "neither a number"),
     ("--max-size nan", "not a positive number of gigabytes"), ("--max-size 0", "not a positive number"),
     ("--dtype int8", "invalid choice"), ("--fill guess", "invalid choice"), ("--colour red", "unrecognized")],
)  # fmt: skip
def test_a_flag_that_makes_no_sense_is_a_usage_error(folder, capsys, flags, message):
    with pytest.raises(SystemExit) as ended:
        run(f"{BUILD} {flags}")
    assert ended.value.code == 2
    assert message in capsys.readouterr().err
    assert stores(folder) == []


def test_missing_values_are_filled_on_request_and_the_store_says_so(folder):
    (folder / "gap.csv").write_text("day,x\n" + "\n".join(f"{i},{'' if i in (5, 6) else i}" for i in range(24)) + "\n")
    assert run("build gap.csv --weights small.safetensors --fill interpolate --horizon 28 --quiet") == 0
    assert open_store("store/small.zarr").filled.values.tolist() == [2]


def test_ctrl_c_leaves_a_store_to_go_on_from_and_says_so(folder, capsys, monkeypatch):  # noqa: ARG001
    real = console.progress_bar

    @contextmanager
    def interrupted_bar(_: str):
        def advance(progress):
            if progress.done == 1:
                raise KeyboardInterrupt

        yield advance

    monkeypatch.setattr(console, "progress_bar", interrupted_bar)
    assert run(f"{BUILD} --batch-size 1") == 130
    assert "interrupted. Run the same command again to go on" in capsys.readouterr().err
    assert open_store("store/small.zarr").signal.values.tolist() == ["one"]
    monkeypatch.setattr(console, "progress_bar", real)
    assert run(BUILD) == 0
    assert "1 signal written" in capsys.readouterr().out


def test_weights_that_are_not_the_stores_are_named_by_verify(folder, capsys):
    assert run(f"{BUILD} --quiet") == 0
    save_safetensors(random_model(small_config(), seed=1), folder / "other.safetensors")
    assert run("verify store/small.zarr --weights other.safetensors --inputs data.csv") == 1
    assert "other.safetensors is not what store/small.zarr was built with (small)" in capsys.readouterr().err
    assert run("verify store/small.zarr --sample 0") == 0


def test_signals_lists_the_catalogue_and_files(folder, capsys):
    assert run("signals --json") == 0
    listed = json.loads(capsys.readouterr().out)
    assert [entry["name"] for entry in listed] == [signal.name for signal in catalogue()]
    assert listed[0]["samples"] == len(catalogue()[0].values)
    assert run("signals data.csv") == 0
    assert re.search(r"two +│ 24 +│ 720", told := capsys.readouterr().out)
    assert not re.search("step|periods|description", told), "no column is empty"
    hours = [f"2016-07-01 {hour:02}:00,{hour}\n" for hour in range(24) if hour != 5]
    (folder / "hours.csv").write_text("time,load\n" + "".join(hours))
    assert run("signals hours.csv --fill interpolate") == 0
    told = capsys.readouterr().out
    assert re.search("step.*first sample.*filled", told)
    assert re.search(r"load +│ 24 +│ 1 hour +│ 2016-07-01T00:00:00 +│ 1 +│ 720", told)


def test_a_name_to_copy_is_whole_in_a_narrow_terminal(folder, capsys, monkeypatch):  # noqa: ARG001
    monkeypatch.setattr(console.console, "_width", 80)
    assert run("signals") == 0
    told = capsys.readouterr().out
    assert all(f"│ {signal.name} " in told for signal in catalogue())


@pytest.mark.parametrize("command", ["build", "info", "verify", "export", "train", "signals"])
def test_every_command_has_help_with_an_example(capsys, command):
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    assert ended.value.code == 0
    assert f"example: python -m vitime_cache {command}" in " ".join(capsys.readouterr().out.split())


def test_heads_are_exported(folder, capsys):
    assert run(f"{BUILD} --quiet") == 0
    assert run("export store/small.zarr --signal two --layer decoder.0 --head 1 --format csv --out numbers") == 0
    exported = sorted(files(folder / "numbers"))
    assert exported
    assert all(name.startswith("experiment_two_decoder.0_head_1_") for name in exported)
    assert f"{len(exported)} files in numbers" in capsys.readouterr().out


def test_an_export_that_is_refused_leaves_no_folder_and_prints_one_line(folder, capsys):
    assert run(f"{BUILD} --quiet") == 0
    for flags in ("--dpi 0 --format png", "--head 99", "--gamma nan"):
        assert run(f"export store/small.zarr --signal two --out pictures {flags}") == 1
        assert re.fullmatch(r"error: .*\n", capsys.readouterr().err)
        assert not (folder / "pictures").exists()


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (
            "export store/small.zarr --signal two --format csv --out data.csv",
            "data.csv: file exists; choose another name",
        ),
        (
            "export store/small.zarr --signal two --format csv --out data.csv/x",
            "data.csv/x: not a directory; there is",
        ),
    ],
)
@pytest.mark.usefixtures("folder")
def test_what_the_system_refuses_is_told_with_what_to_do(capsys, command, told):
    assert run(f"{BUILD} --quiet") == 0
    assert run(command) == 1
    assert told in capsys.readouterr().err


@pytest.mark.parametrize("port", ["0", "65536", "99999"])
def test_a_port_that_no_machine_has_is_refused_with_the_usage(capsys, port):
    with pytest.raises(SystemExit):
        run(f"app --port {port}")
    assert "not a whole number from 1 to 65535" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("command", "options", "variables"),
    [
        ("app store/small.zarr --port 8600 --address 127.0.0.1", {"--server.port=8600", "--server.address=127.0.0.1"},
         {"VITIME_STORE_FOLDER": "store", "VITIME_STORE": "small.zarr"}),
        ("app store", {"--server.port=8501"}, {"VITIME_STORE_FOLDER": "store"}),
        ("app --headless", {"--server.headless=true"}, {"VITIME_STORE_FOLDER": "store"}),
    ],
)  # fmt: skip
def test_the_app_is_served_over_the_store_or_the_folder_that_is_named(folder, monkeypatch, command, options, variables):
    served = []
    (folder / "store" / "small.zarr").mkdir(parents=True)
    monkeypatch.delenv("VITIME_STORE_FOLDER", raising=False)
    monkeypatch.setattr(subprocess, "run", lambda *what, **how: served.append((what[0], how["env"])) or Done())
    assert run(command) == 0
    ((arguments, environment),) = served
    assert options <= set(arguments)
    told = {name: environment[name] for name in ("VITIME_STORE_FOLDER", "VITIME_STORE") if name in environment}
    assert told == variables | {"VITIME_STORE_FOLDER": str((folder / "store").resolve())}


class Done:
    returncode = 0


def test_the_app_over_a_store_that_is_not_there_is_refused_in_one_line(folder, capsys):
    assert run("app nowhere.zarr") == 1
    assert capsys.readouterr().err.strip().endswith("nowhere.zarr is not one")
    assert not (folder / "nowhere.zarr").exists()


@pytest.mark.parametrize("command", ["signals --json", "signals"])
def test_a_reader_that_has_seen_enough_is_no_error(command):
    program = f"{sys.executable} -m vitime_cache {command} | true; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", program], capture_output=True, text=True)
    assert done.stderr == ""
    assert int(done.stdout) == 141  # as every tool of Unix ends


def test_training_writes_weights_that_a_build_takes(folder, capsys):
    (folder / "tiny.toml").write_text(
        "batch_size = 1\n[network]\nimage_height = 16\ncontext_columns = 20\nhorizon_columns = 28\npatch_height = 8\n"
        "patch_width = 8\nencoder_width = 8\nencoder_depth = 1\ndecoder_width = 8\ndecoder_depth = 1\nheads = 2\n"
    )
    assert run("train --config tiny.toml --out mine.safetensors --steps 2 --device cpu --quiet") == 0
    assert capsys.readouterr() == ("", "")
    assert run("build data.csv --weights mine.safetensors --horizon 28 --quiet") == 0
    assert open_store("store/mine.zarr").attrs["weights"] == "mine"
    assert run("train --config tiny.toml --start mine.safetensors --out more.safetensors --steps 1 --quiet") == 0
    assert capsys.readouterr() == ("", "")
    assert run("train --config missing.toml --out mine.safetensors") == 1
    assert capsys.readouterr().err.startswith("error: cannot read the training config missing.toml")


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a CUDA device")
def test_training_on_a_device_that_is_not_there_names_what_to_use_instead(folder, capsys):
    assert run("train --out mine.safetensors --steps 1 --device cuda") == 1
    told = " ".join(capsys.readouterr().err.split())
    assert told == (
        "error: device 'cuda' was asked for, but this machine has no CUDA device that torch can use; use auto or cpu"
    )
    assert not (folder / "mine.safetensors").exists()


def test_names_are_shown_as_they_are_and_never_read_as_markup(folder, capsys):
    (folder / "odd.csv").write_text("[red]x[/red],:smile:\n" + "\n".join("1,2" for _ in range(24)) + "\n")
    assert run("signals odd.csv") == 0
    assert "[red]x[/red]" in (told := capsys.readouterr().out)
    assert ":smile:" in told


@pytest.mark.parametrize(
    ("allocate", "message"),
    [(lambda: torch.empty(2**60), "the machine is out of memory; use a smaller --batch-size or --dtype float16"),
     (lambda: np.empty(2**50), "the machine is out of memory; use a smaller --batch-size or --dtype float16"),
     (lambda: bytes(2**62), "the machine is out of memory; use a smaller --batch-size or --dtype float16"),
     (lambda: (_ for _ in ()).throw(torch.OutOfMemoryError("CUDA")),
      "the device is out of memory; use a smaller --batch-size or --dtype float16")],
    ids=["torch", "numpy", "Python", "CUDA"],
)  # fmt: skip
def test_want_of_memory_is_told_as_what_it_is_with_what_to_do(folder, capsys, monkeypatch, allocate, message):  # noqa: ARG001
    monkeypatch.setattr("vitime_cache.attention.capture.capture_batch", lambda *_: allocate())
    assert run(f"{BUILD} --quiet --batch-size 2") == 1
    *notes, error = capsys.readouterr().err.splitlines()
    assert error == f"error: {message}"
    halved = ["note: the device is out of memory; continuing with 1 signal per pass"]
    assert notes == (halved if "device" in message else [])


def test_only_flags_that_would_need_less_memory_are_named(folder, capsys, monkeypatch):  # noqa: ARG001
    monkeypatch.setattr("vitime_cache.attention.capture.capture_batch", lambda *_: bytes(2**62))
    assert run(f"{BUILD} --quiet --batch-size 1 --dtype float16") == 1
    assert capsys.readouterr().err == (
        "error: the machine is out of memory; close other programs, or use a machine with more\n"
    )


def test_a_defect_of_ours_shows_its_traceback(folder, monkeypatch):  # noqa: ARG001
    monkeypatch.setattr("vitime_cache.attention.capture.capture_batch", lambda *_: {}["no"])
    with pytest.raises(KeyError):
        run(BUILD)


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (MemoryError(), "the machine is out of memory; use a smaller --batch-size or --dtype float16"),
        (
            RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory"),
            "the machine is out",
        ),
        (RuntimeError("CUDA error: out of memory"), "the device is out of memory"),
        (
            ImportError("libtorch_cpu.so: failed to map segment from shared object"),
            "the machine is out of memory; close other programs, or use a machine with more",
        ),
        (OSError("libcublasLt.so.13: failed to map segment from shared object"), "the machine is out of memory; close"),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), "the machine is out of memory; use a smaller --batch-size"),
        (RuntimeError("can't start new thread"), "the machine allows no more threads; close other programs, or raise"),
    ],
)
def test_a_want_of_memory_is_told_as_what_it_is(folder, capsys, monkeypatch, error, told):  # noqa: ARG001
    import vitime_cache.store.build

    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(vitime_cache.store.build, "build", fail)
    assert run(f"{BUILD} --quiet") == 1
    assert f"error: {told}" in capsys.readouterr().err
