"""Measure edgeconv against what a user would use otherwise, and write docs/benchmarks.md from what was seen.

    make bench-peers                        everything, about ten minutes on a quiet machine
    python tools/bench_peers.py --quick     to try the script out; prints the page and writes nothing
    python tools/bench_peers.py --render    write the page anew from docs/benchmarks.json

Other engines take part where they are installed (`make setup DEVICE=peers`); the page names those that did not.
"""

import argparse
import os
from dataclasses import replace
from pathlib import Path

# numpy's BLAS reads this when it is loaded; the contestants' processes inherit it.
os.environ["OPENBLAS_NUM_THREADS"] = "1"

from peers.heats import EFFORTS
from peers.page import render
from peers.results import read_results, to_json
from peers.sessions import compare_all
from peers.targets import assess

ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--quick", action="store_const", dest="effort", const="quick", help="few rounds and less work")
    how.add_argument("--trial", action="store_const", dest="effort", const="trial", help="as little as can be")
    how.add_argument("--render", action="store_true", help="measure nothing")
    parser.add_argument("--out", type=Path, help="folder of benchmarks.json and benchmarks.md; by default docs/")
    parser.add_argument("--cuda", type=Path, metavar="FILE", help="include what tools/check_cuda.py --markdown wrote")
    chosen = parser.parse_args()
    out = chosen.out or (None if chosen.effort else ROOT / "docs")
    if chosen.render:
        results = read_results(out / "benchmarks.json")
    else:
        results = compare_all(ROOT / "models" / "har_conv1d", EFFORTS[chosen.effort or "full"])
    if chosen.cuda:
        results = replace(results, cuda=chosen.cuda.read_text(encoding="utf-8"))
    page = render(results)
    if out is None:
        print(page, end="")
        return
    out.mkdir(parents=True, exist_ok=True)
    (out / "benchmarks.json").write_text(to_json(results, assess(results)), encoding="utf-8")
    (out / "benchmarks.md").write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
