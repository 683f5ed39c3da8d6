"""Why a target is not reached, found by profiling (`enable_profiling` of ONNX Runtime, `perf_counter` in Python).

By the first word of the target's key, and shown only where it is not reached.
"""

from __future__ import annotations

from collections.abc import Mapping

REASONS: Mapping[str, str] = {
    "floor": (
        "the convolutions in the middle run at more than nine tenths of the matrix product's speed; the first one, of "
        "nine channels, at six tenths, and the layer of 100 units is computed in blocks of 16, as if it had 112"
    ),
    "loop": (
        "the loop is no slow opponent: with wide vectors, ONNX Runtime does the multiply-adds of single windows at a "
        "third of the matrix product's speed. The remark in each row says what a program could reach that takes no "
        "longer than the floor; what edgeconv lacks to that is in the rows against the floor"
    ),
    "peer": (
        "at hop 64 the dense form has 61 % of the multiply-adds of separate windows, at hop 8 24 %, so at equal speed "
        "per multiply-add 1.65× and 4.2× are the most that can be gained, and in batches the other engine is not far "
        "from the floor either"
    ),
    "windowed": (
        "half of the time, some 20 of 40 µs, is the dense layer over the flattened window. Its 1.6 MB of weights are "
        "read from beyond the processor's second cache for each single window, in both files alike, and no "
        "matrix-vector product that was tried is much faster. The rest, where the files differ, takes a third less"
    ),
    "push": (
        "checking the values takes 2 µs, keeping the window 2 µs, making the prediction 2 µs; the rest is that the "
        "samples have just been copied and that the engine's own code has left the nearest cache"
    ),
    "start": (
        "Python, numpy, ONNX Runtime and the file take what the remark says; the rest is the command line, "
        "the folder's other forms, and the first run of the network"
    ),
    "csv": "reading, checking and the model take turns on one core, while the bare parser only makes an array",
}
