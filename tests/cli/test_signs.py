"""Output on terminals whose encoding lacks a sign."""

from __future__ import annotations

import io
import subprocess
import sys

import pytest

from vitime_cache.cli import console
from vitime_cache.cli.main import main
from vitime_cache.cli.signs import PLAIN, plain_signs
from vitime_cache.evidence.verdict.mock import mock_verdict


@pytest.mark.parametrize(("encoding", "errors"), [
    ("ascii", "strict"), ("ascii", "surrogateescape"), ("cp1252", "strict"), ("latin-1", "strict"), ("utf-8", "strict"),
])  # fmt: skip
def test_a_verdict_is_printed_in_any_encoding_and_no_mark_becomes_another(encoding, errors, monkeypatch):
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding=encoding, errors=errors))
    plain_signs()
    verdict = mock_verdict(signal="日本 “day” → night")
    console.show_verdict(verdict, console.console)
    print(verdict.attrs["question"], "…→✓✗–−·日")
    sys.stdout.flush()
    told = raw.getvalue().decode(encoding)
    assert "Yes, mostly: 84 % (74" in told
    if encoding == "utf-8":
        assert told.rstrip().endswith("…→✓✗–−·日")
    if encoding == "ascii":
        assert told.rstrip().endswith("...->+x--/?")
        assert "(74 ... 94)" in " ".join(told.split())


def test_a_command_whose_output_was_closed_before_it_began_does_its_work(monkeypatch):
    for name in ("stdout", "stderr"):
        monkeypatch.setattr(sys, name, None)
    assert main(["signals"]) == 0
    sys.stdout.close()
    sys.stderr.close()


CLOSED = """
import os, sys
from vitime_cache.cli.signs import plain_signs
for standard in (0, 1, 2):
    os.close(standard)
sys.stdout = sys.stderr = None  # as Python starts where they are closed
plain_signs()
with open(sys.argv[1], "w") as file:
    file.write("samples")
    os.write(2, b"a warning of a library")
"""


def test_what_a_library_writes_where_all_streams_are_closed_gets_into_no_file(tmp_path):
    path = tmp_path / "a"
    assert subprocess.run([sys.executable, "-c", CLOSED, path], check=False).returncode == 0
    assert path.read_text() == "samples"


def test_stand_ins_are_ascii_and_none_is_the_mark_of_what_is_inconclusive():
    assert all(text.isascii() for text in PLAIN.values())
    assert "?" not in PLAIN.values()
