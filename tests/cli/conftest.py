"""Ways to run the command line: in this process, which is quick, or as the real command; and what to run it on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

CHANNELS = ("acc_x", "acc_y")


@dataclass(frozen=True)
class Outcome:
    """What a finished command left behind."""

    code: int
    out: str
    err: str

    @property
    def notes(self) -> list[str]:
        """What it said on stderr: every line is one note, so a traceback or a broken line fails here."""
        lines = self.err.splitlines()
        assert all(line.startswith("edgeconv: ") for line in lines), self.err
        return [line.removeprefix("edgeconv: ") for line in lines]

    @property
    def error(self) -> str:
        """The error, which is one line and the last one."""
        errors = [note for note in self.notes if note.startswith("error: ")]
        assert len(errors) == 1, self.err
        assert errors == self.notes[-1:], self.err
        return errors[0].removeprefix("error: ")

    @property
    def predictions(self) -> list[dict[str, Any]]:
        """Its stdout as JSON lines, each of them complete."""
        assert self.out == "" or self.out.endswith("\n")
        return [json.loads(line) for line in self.out.splitlines()]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """Run `edgeconv` with these arguments in this process; stdout is no terminal."""
    from edgeconv.cli import main

    monkeypatch.setenv("COLUMNS", "200")  # help is not broken where a test looks for a sentence

    def run(*arguments: object) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["edgeconv", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as stopped:
            main()
        code = stopped.value.code
        assert isinstance(code, int)
        return Outcome(code, *capsys.readouterr())

    return run


@pytest.fixture
def start() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start the real command, or with `code=` some Python; what still runs after the test is killed."""
    started: list[subprocess.Popen[str]] = []
    # Where this is set, as containers like to do, Python writes every line on its own; users have it buffer.
    usual = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}

    def start(
        *arguments: object, code: str | None = None, env: dict[str, str] | None = None, **options: Any
    ) -> subprocess.Popen[str]:
        program = [sys.executable, *(("-m", "edgeconv") if code is None else ("-c", code))]
        process = subprocess.Popen(
            [*program, *map(str, arguments)],
            **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "encoding": "utf-8", **options},
            env={**usual, **(env or {})},
            # A shell that starts the tests in the background lets them, and what they start, ignore Ctrl-C.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL) if os.name == "posix" else None,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None:
                stream.close()


@pytest.fixture
def finish() -> Callable[..., Outcome]:
    """Wait for a started command, reading what it still has to say."""

    def finish(process: subprocess.Popen[str], timeout_s: float = 30.0) -> Outcome:
        out, err = process.communicate(timeout=timeout_s)
        return Outcome(process.returncode, out or "", err or "")

    return finish


@pytest.fixture(scope="session")
def models() -> Path:
    """The tiny models: windows [4, 2] of acc_x and acc_y at 10 Hz, hop 2, labels still, walk and run."""
    return Path(__file__).parents[1] / "runtime" / "models"


@pytest.fixture(scope="session")
def model(models: Path) -> Path:
    return models / "tiny.onnx"


@pytest.fixture(scope="session")
def samples() -> np.ndarray:
    """float32 [41, 2]: one sample more than whole windows, with all three labels among the answers."""
    return np.random.default_rng(5).normal(0.3, 1.0, (41, 2)).astype(np.float32)


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Write a recording as text, its numbers in the shortest form that reads back to the same float32."""

    def write(
        name: str,
        samples: np.ndarray,
        columns: tuple[str, ...] | None = CHANNELS,
        separator: str = ",",
        line_end: str = "\n",
        mark: str = "",
    ) -> Path:
        rows = [list(columns)] if columns else []
        rows += np.asarray(samples, np.float32).astype(np.str_).tolist()
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        text = mark + "".join(separator.join(row) + line_end for row in rows)
        path.write_text(text, encoding="utf-8", newline="")
        return path

    return write
