"""docs/benchmarks.md is what its JSON file renders to, and tools/bench_peers.py measures what it says."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

REPOSITORY = Path(__file__).resolve().parents[1]
DOCS = REPOSITORY / "docs"
TOOLS = REPOSITORY / "tools"
PEERS = ["openvino", "ai_edge_litert", "polars", "pyarrow"]
HEATS = ["offline", "two threads", "single-stream", "multi-stream", "csv", "cold start"]
ROUNDS = st.lists(st.lists(st.floats(0.01, 1e6), min_size=2, max_size=6), min_size=1, max_size=4)


@pytest.fixture(scope="module", autouse=True)
def tools_on_the_path():
    """What tools/bench_peers.py is made of can be imported as it imports it."""
    sys.path.insert(0, str(TOOLS))
    yield
    sys.path.remove(str(TOOLS))


def bench_peers(*arguments):
    command = [sys.executable, str(TOOLS / "bench_peers.py"), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return done


@pytest.fixture(scope="module")
def trial(tmp_path_factory):
    """The folder that the smallest run of the whole script writes."""
    folder = tmp_path_factory.mktemp("trial")
    bench_peers("--trial", "--out", folder)
    return folder


def read(folder):
    return json.loads((folder / "benchmarks.json").read_text(encoding="utf-8"))


def test_the_page_and_every_derived_figure_are_what_the_rounds_in_the_json_give(tmp_path):
    shutil.copy(DOCS / "benchmarks.json", tmp_path)
    bench_peers("--render", "--out", tmp_path)
    for name in ("benchmarks.json", "benchmarks.md"):
        assert (tmp_path / name).read_text(encoding="utf-8") == (DOCS / name).read_text(encoding="utf-8"), (
            f"docs/{name} is not what docs/benchmarks.json renders to: run `python tools/bench_peers.py --render`"
        )


def test_every_target_has_a_row_and_one_that_is_not_reached_a_reason():
    from peers.targets import targets

    page = (DOCS / "benchmarks.md").read_text(encoding="utf-8")
    keys = [row["key"] for row in read(DOCS)["targets"]]
    assert keys == [target.key for target in targets()]
    assert all(f"| {target.what} |" in page for target in targets())
    assert "not yet looked into" not in page


def test_the_targets_are_those_that_were_set():
    from peers.targets import targets

    limits = {target.key: (target.better, target.must) for target in targets() if target.must is not None}
    assert limits == {
        **{f"floor {hop}": ("less", 1.3) for hop in (64, 16, 8, 1)},
        **{f"loop {hop}": ("more", must) for hop, must in ((64, 5), (16, 10), (8, 15), (1, 18))},
        **{f"peer {hop}": ("more", must) for hop, must in ((64, 1.4), (16, 1), (8, 4), (1, 1))},
        **{f"litert {hop}": ("more", must) for hop, must in ((64, 1.3), (16, 4))},
        "windowed": ("more", 1.3),
        "push": ("less", 15),
        "pool": ("less", 1),
        "csv numpy": ("more", 70),
        "csv polars": ("more", 40),
        "start": ("less", 0.5),
    }


def test_the_json_file_is_small_enough_to_be_committed():
    assert (DOCS / "benchmarks.json").stat().st_size < 200_000


def test_every_contestant_that_is_installed_answers_as_keras_does(trial):
    data = read(trial)
    assert list(data["heats"]) == [heat for heat in HEATS if heat in data["heats"]]
    assert set(HEATS) - set(data["heats"]) <= {"two threads"}  # needs two cores
    rows = {(heat, name): row for heat, rows in data["heats"].items() for name, row in rows.items()}
    assert {key: row["problem"] for key, row in rows.items() if row["problem"]} == {}
    assert all(row["rounds"] for row in rows.values())
    assert {row["kind"] for row in rows.values()} >= {"floor", "peer", "ours"}
    exact = [row["max_abs_diff"] for row in rows.values() if row["precision"] == "float32" and row["same_class"]]
    assert len(exact) > 20
    assert max(exact) <= 1e-5


def test_what_is_not_installed_is_named_on_the_page(trial):
    data = read(trial)
    page = (trial / "benchmarks.md").read_text(encoding="utf-8")
    assert "Take none of it as a figure" in page
    reasons = {reason for names in data["left_out"].values() for reason in names.values()}
    assert reasons == {f"{name} is not installed" for name in PEERS if find_spec(name) is None}
    for names in data["left_out"].values():
        for name, reason in names.items():
            assert f"| {name} | not measured: {reason} |" in page


def test_a_section_on_cuda_is_taken_over_where_there_is_one(tmp_path):
    shutil.copy(DOCS / "benchmarks.json", tmp_path)
    (tmp_path / "cuda.md").write_text("## CUDA against the processor\n\nfaster from 8 windows on\n", encoding="utf-8")
    bench_peers("--render", "--out", tmp_path, "--cuda", tmp_path / "cuda.md")
    page = (tmp_path / "benchmarks.md").read_text(encoding="utf-8")
    assert "faster from 8 windows on" in page
    assert "no CUDA device" not in page
    assert read(tmp_path)["cuda"].startswith("## CUDA")


def test_the_peers_are_pinned_and_run_beside_the_versions_that_are_tested():
    def pins(kind):
        text = (REPOSITORY / "requirements" / f"{kind}.lock").read_text(encoding="utf-8")
        assert "://" not in text
        blocks = [block for block in re.split(r"\n(?=[a-z])", text) if not block.startswith("#")]
        assert all("--hash=sha256:" in block for block in blocks)
        return {block.split(" \\")[0] for block in blocks}

    assert pins("cpu") <= pins("peers")
    names = {pin.split("==")[0] for pin in pins("peers")}
    assert {"openvino", "ai-edge-litert", "polars"} <= names


RIGHT = np.eye(6, dtype=np.float32)[[0, 1, 2, 3] * 5] * 0.9 + np.float32(0.1 / 6)


@pytest.mark.parametrize(
    ("answer", "precision", "problem"),
    [
        (RIGHT, "float32", ""),
        (RIGHT + np.float32(9e-6), "float32", ""),
        (RIGHT + np.float32(2e-5), "float32", "differ from Keras"),
        (RIGHT + np.float32(0.05), "bfloat16", ""),
        (np.roll(RIGHT, 1, axis=0), "int8", "the same class as Keras in 0.0 %"),
        (np.vstack([RIGHT[:18], RIGHT[:2][::-1]]), "int8", ""),
        (np.vstack([RIGHT[:17], RIGHT[:3]]), "int8", "the same class as Keras in 85.0 %"),
        (RIGHT * np.float32(np.nan), "int8", "not finite"),
        (RIGHT[:, :5], "float32", "shape [20, 5], expected [20, 6]"),
        (RIGHT[:0], "float32", "shape [0, 6]"),
    ],
)
def test_a_contestant_with_wrong_answers_is_found_out(answer, precision, problem):
    from peers.heats import Competitor
    from peers.material import Material, Sizes
    from peers.sessions import find_problem

    material = Material(Path(), None, Sizes(), {}, {"hop 64": np.vstack([RIGHT, RIGHT])})
    found = find_problem(Competitor("one", print, precision=precision), answer, material)
    assert problem in found
    assert bool(found) == bool(problem)


def test_answers_that_come_in_another_order_are_judged_in_that_order():
    from peers.heats import Competitor
    from peers.material import Material, Sizes
    from peers.sessions import find_problem

    material, rows = Material(Path(), None, Sizes(), {}, {"hop 8": RIGHT}), np.array([3, 1])
    assert find_problem(Competitor("one", print, hop=8, rows=rows), RIGHT[rows], material) == ""
    assert find_problem(Competitor("one", print, hop=8, rows=rows), RIGHT[rows[::-1]], material) != ""


@given(ROUNDS, st.floats(0.01, 100))
def test_the_figure_of_some_sessions_is_the_median_of_their_medians_in_any_unit(sessions, scale):
    from peers.results import over_sessions

    seen = over_sessions(sessions)
    assert seen.value == np.median([np.median(rounds) for rounds in sessions])
    assert min(map(min, sessions)) <= seen.low <= seen.high <= max(map(max, sessions))
    scaled = over_sessions([scale * np.array(rounds) for rounds in sessions])
    # The same draws in another unit: only the rounding of a product and a mean of two differ.
    np.testing.assert_allclose(
        [scaled.value, scaled.low, scaled.high], [scale * seen.value, scale * seen.low, scale * seen.high], rtol=1e-9
    )


def test_the_interval_of_sessions_that_differ_is_wider_than_that_of_one_session():
    from peers.results import over_sessions

    rounds = np.random.default_rng(0).normal(10, 0.1, 10)
    one, three = over_sessions([rounds]), over_sessions([rounds, rounds + 1, rounds + 2])
    assert three.high - three.low > 1 > one.high - one.low


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (0.00123, "0.00123"),
        (0.0999, "0.0999"),
        (0.9996, "1.00"),
        (9.996, "10.0"),
        (99.96, "100"),
        (51234, "51234"),
    ],
)
def test_numbers_have_three_digits_that_count(value, text):
    from peers.markdown import number

    assert number(value) == text
