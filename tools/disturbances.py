"""What becomes of a recording that is not as the model wants it; writes docs/disturbances.md.

Each test recording of HAPT is disturbed in every way of tools/disturb/ways.py and streamed by the command, `edgeconv
stream`: first with nothing said of it, one by one, then with the options that tell of it. Every answer is compared with
that for the recording as it was. Ends with exit code 4 where something was silently wrong or a bound is missed.

    python tools/disturbances.py --data "HAPT Data Set.zip"
    python tools/disturbances.py --data "HAPT Data Set.zip" --only Hz --recordings 2    # a part; prints the page
    python tools/disturbances.py --render                                               # of the results that are there
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from disturb import tones
from disturb.command import reference_of
from disturb.made import NAMES, RATE_HZ
from disturb.page import faults, missed, plain_cells, render, right_cells, silently_wrong
from disturb.tally import Study
from disturb.ways import WAYS

from edgeconv import folder as files
from edgeconv.data import load_data
from edgeconv.runtime import ModelSpec

ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    """Disturb, stream, compare, and write the results and the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--data", help="the HAPT data set, folder or zip")
    what.add_argument("--render", action="store_true", help="write the page anew from its results")
    parser.add_argument("--model", type=Path, default=ROOT / "models" / "har_raw", help="of HAPT's six channels")
    parser.add_argument("--only", default="", help="ways whose names have this in them")
    parser.add_argument("--recordings", type=int, help="how many, by default all")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=ROOT / "docs")
    given = parser.parse_args()
    results, page = given.out / "disturbances.json", given.out / "disturbances.md"
    found = json.loads(results.read_text(encoding="utf-8")) if given.render else measure(given)
    if given.only or given.recordings:
        print(render(found))
    else:
        results.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        page.write_text(render(found), encoding="utf-8")
    for text in faults(found):
        print(text, file=sys.stderr)
    if faults(found):
        raise SystemExit(4)


def measure(given: argparse.Namespace) -> dict[str, Any]:
    """Return all that the page says."""
    model, dataset = given.model.resolve(), load_data(given.data)
    spec = ModelSpec.load(model / files.SPEC)
    if (spec.channel_names, spec.sampling_rate_hz) != (NAMES, RATE_HZ) or dataset.name != "HAPT":
        raise SystemExit(f"{dataset.name} and {spec.name}: expected HAPT and a model of its six channels at 50 Hz")
    recordings = dataset.continuous["test"][: given.recordings]
    with tempfile.TemporaryDirectory() as folder:
        reference = reference_of(model, recordings, Path(folder))
    study = Study(model, spec, recordings, reference, given.seed)
    ways, rows = [way for way in WAYS if given.only in way.name], []
    with ThreadPoolExecutor(given.workers) as pool:
        for row in pool.map(study.of, ways):
            rows.append(row)
            bad = [word for word, is_so in (("SILENTLY WRONG", silently_wrong(row)), ("MISSED", missed(row))) if is_so]
            cells = [f"{len(rows)}/{len(ways)}", *plain_cells(row)[:3], *right_cells(row)[1:5], *bad]
            print(" | ".join(cells), file=sys.stderr, flush=True)
    return {
        "data": dataset.name,
        "model": spec.name,
        "rate_hz": spec.sampling_rate_hz,
        "recordings": len(recordings),
        "windows": sum(-(-len(own) // spec.hop) for own in reference.values()),
        "versions": ", ".join(f"{name} {version}" for name, version in files.versions("onnxruntime").items()),
        "seed": given.seed,
        "rows": rows,
        "tones": tones.measure(spec, given.seed),
    }


if __name__ == "__main__":
    main()
