"""edgeconv demo: the whole line, once."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .console import DataOption, DataOptionsOption, data_options, load_data, note, progress, table
from .interrupt import Interrupt
from .stream_job import classify

if TYPE_CHECKING:
    from edgeconv.data.dataset import Dataset
    from edgeconv.runs.record import FitRecord, Run


def demo(
    data: DataOption = None,
    data_option: DataOptionsOption = None,
    out: Annotated[Path, typer.Option(help="Folder for everything that is made.", metavar="DIR")] = Path(
        "edgeconv-demo"
    ),
    epochs: Annotated[int, typer.Option(help="Passes over the training windows.")] = 4,
) -> None:
    """Train, export, verify and stream one recording: the whole line, in under a minute.

    Example: edgeconv demo --out edgeconv-demo
    """
    from edgeconv.data.synthetic_tones import NAME as TONES
    from edgeconv.data.write import usual_format
    from edgeconv.export.pipeline import export
    from edgeconv.export.verify import verify
    from edgeconv.train.config import TrainConfig
    from edgeconv.train.place import train

    dataset = load_data(data, options=data_options(data_option))
    network, ending = "audio" if dataset.name == TONES else "seed", usual_format(dataset)
    model = out / "model"
    times: dict[str, float] = {}
    began = time.perf_counter()

    def finished(step: str) -> None:
        times[step] = time.perf_counter() - began - sum(times.values())

    # TensorFlow calls back into Python in many places where an exception is lost, so Ctrl-C waits for the epoch's end.
    with progress(epochs) as show, Interrupt(until="this epoch") as interrupt:
        config = TrainConfig(network, repeats=1, epochs=epochs)
        reporter = Reporter(f"train: one repeat of network {network}", show, interrupt)
        training = train(dataset, config, model, overwrite=True, runs=out / "runs", observers=[reporter])
    finished("train")
    with progress() as show:
        certificate = export(model, dataset, on_progress=lambda what: show(f"export: {what}", 0))
    finished("export")
    with progress() as show:
        verify(model, dataset, on_progress=lambda name: show(f"verify: {name}", 0)).require_passed()
    finished("verify")
    streamed = stream_longest(dataset, model, out)
    finished("stream")

    artefacts = certificate["artefacts"]
    synthetic = ": synthetic, so the figures say nothing about people" if dataset.synthetic else ""
    typer.echo(f"\nedgeconv demo on {dataset.name}{synthetic}")
    typer.echo(
        table(
            ["step", "seconds", "what came out"],
            [
                ["train", f"{times['train']:.1f}", f"test accuracy {100 * training['accuracy_mean']:.2f} %"],
                *(
                    [
                        f"export {file}",
                        f"{times['export']:.1f}" if i == 0 else "",
                        f"accuracy {100 * entry['accuracy']:.2f} %, largest |Δp| {entry['max_abs_diff']:.1e}",
                    ]
                    for i, (file, entry) in enumerate(artefacts.items())
                ),
                ["verify", f"{times['verify']:.1f}", f"{len(artefacts)} files keep their limits"],
                ["stream", f"{times['stream']:.1f}", streamed],
            ],
        )
    )
    typer.echo(
        f"\nmodel        {model}  (model card: README.md, proof: certificate.json)\n"
        f"recordings   {out / 'recordings'}  ({ending.upper()} with labels.csv)\n"
        f"predictions  {out / 'predictions.jsonl'}\n"
        f"again        edgeconv stream {model} {out / 'recordings'}/*.{ending}"
    )


class Reporter:
    """Shows the progress of one fit, and ends it between epochs on Ctrl-C."""

    def __init__(self, what: str, show: Callable[[str, float], None], interrupt: Interrupt) -> None:
        self.what, self.show, self.interrupt = what, show, interrupt

    def begun(self, _run: Run, _records: Sequence[FitRecord]) -> None:
        """Show that it begins."""
        self.show(self.what, 0)

    def epoch(self, _record: FitRecord, metrics: dict[str, float]) -> None:
        """Show how far it is."""
        self.show(self.what, metrics["epoch"])
        self.interrupt.check()

    def finished(self, _record: FitRecord, _result: dict[str, Any]) -> None:
        """Nothing more to show."""


def stream_longest(dataset: Dataset, model: Path, out: Path) -> str:
    """Write the longest test recording, stream it into `predictions.jsonl` and say how it went."""
    from edgeconv.data import recordings, write_recordings
    from edgeconv.data.write import usual_format
    from edgeconv.runtime import Classifier, StreamClassifier
    from edgeconv.runtime.sinks import open_sink

    longest = max(recordings(dataset, "test"), key=lambda recording: len(recording.samples))
    target = out / "recordings"
    paths = write_recordings(dataset, [longest], target, file_format=usual_format(dataset), overwrite=True)
    streaming = StreamClassifier(Classifier.load(model))
    spec = streaming.classifier.spec
    right = inside = windows = 0
    note(f"stream: {paths[0]}")
    began = time.perf_counter()
    with (out / "predictions.jsonl").open("w", encoding="utf-8") as file:
        sink = open_sink("jsonl", file, spec.labels)
        for name, prediction in classify(streaming, paths):
            sink.write(name, prediction)
            windows += 1
            start = round(prediction.start_s * spec.sampling_rate_hz)
            for segment in longest.segments:
                if segment.start <= start and start + spec.window <= segment.end:
                    inside += 1
                    right += prediction.class_id == segment.class_id
        sink.close()
    per_second = windows / (time.perf_counter() - began)
    return f"{windows} windows, {per_second:.0f} a second; of {inside} in one activity {right} right"
