"""The floor: how fast one thread of this machine multiplies matrices in float32."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from edgeconv.bench import Contestant

from .contestants import Job
from .engines import open_onnx_runtime
from .material import MATMUL_SIDES


def multiply_in_numpy(job: Job) -> Contestant:  # noqa: ARG001 (all are made alike)
    """Multiply in numpy, whose BLAS was told to use one thread; a unit is a million multiply-adds."""
    if os.environ.get("OPENBLAS_NUM_THREADS") != "1":
        raise RuntimeError("OPENBLAS_NUM_THREADS must be 1 before numpy is imported")
    rng = np.random.default_rng(0)
    sides = {}
    for side in MATMUL_SIDES:
        a, b, out = (rng.random((side, side), np.float32) for _ in range(3))
        sides[side] = lambda a=a, b=b, out=out: np.matmul(a, b, out=out)
    return _fastest_product(sides)


def multiply_in_onnx_runtime(job: Job) -> Contestant:
    """Multiply in ONNX Runtime; a unit is a million multiply-adds."""
    rng = np.random.default_rng(0)
    sides = {}
    for side in MATMUL_SIDES:
        engine = open_onnx_runtime(job.folder, f"matmul{side}.onnx", side, job.threads)
        a = rng.random((side, side), np.float32)
        sides[side] = lambda engine=engine, a=a: engine.answer(a)
    return _fastest_product(sides)


def _fastest_product(sides: Mapping[int, Callable[[], Any]]) -> Contestant:
    rates = {}
    for side, run in sides.items():
        times = []
        for _ in range(9):
            began = time.perf_counter()
            run()
            times.append(time.perf_counter() - began)
        rates[side] = side**3 / min(times)
    side = max(rates, key=rates.__getitem__)
    return Contestant(sides[side], units=side**3 / 1e6, facts={"side": side})
