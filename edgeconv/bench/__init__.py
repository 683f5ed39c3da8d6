"""Figures that can be trusted: contestants in processes of their own, interleaved rounds, intervals, comparisons.

A tool that times other engines gives `measure` an `Entry` for each: a name, and a function of an importable module
that makes a `Contestant` in a process of its own.

    def make_engine(path: str) -> Contestant:
        engine = load(path)
        return Contestant(run=lambda: engine(windows), units=len(windows), check=lambda: engine(windows))

    if __name__ == "__main__":
        entries = [Entry("ours", make_ours, {"path": "a.onnx"}), Entry("engine", make_engine, {"path": "a.bin"})]
        ours, engine = measure(entries, Plan(rounds=20), judge)
        statistics.paired_ratio(ours.us_per_unit, engine.us_per_unit)
"""

from .contestant import Contestant, Entry
from .measure import Measurement, Plan, measure
from .result import Result, read_result
from .run import Settings, bench

__all__ = ["Contestant", "Entry", "Measurement", "Plan", "Result", "Settings", "bench", "measure", "read_result"]
