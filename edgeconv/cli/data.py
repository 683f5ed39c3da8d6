"""edgeconv data: what is cached, is it whole, recordings as CSV or WAV, the official download."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from . import data_store
from .console import DataOption, DataOptionsOption, command, count, data_options, load_data, note, progress, table
from .data_stored import stored_text, verify_stored

app = typer.Typer(help="Look at, check, keep, share, write and download data sets.", no_args_is_help=True)
for _verb in (data_store.add, data_store.show, data_store.split, data_store.export, data_store.remove):
    app.command()(command(_verb))


@app.command("list")
@command
def list_() -> None:
    """List the parsed data sets in the cache, those in the store, and the addresses of the known ones.

    Example: edgeconv data list
    """
    from edgeconv.data import UCI_HAR_SHA256, UCI_HAR_URL
    from edgeconv.data.cache import cache_folder, entries

    rows = [
        [
            entry.name,
            entry.source.partition(" (sha256 ")[0],
            entry.source_sha256[:12],
            entry.content_sha256[:12],
            f"{entry.size_bytes / 2**20:.0f}",
        ]
        for entry in entries()
    ]
    typer.echo(f"Parsed data sets in {cache_folder()}: {len(rows) or 'none'}")
    if rows:
        typer.echo(table(["name", "read from", "file's SHA-256", "content hash", "MiB"], rows))
    typer.echo(f"\n{stored_text()}")
    typer.echo(f"\nUCI HAR, official download (`edgeconv data fetch`):\n{UCI_HAR_URL}\nSHA-256 {UCI_HAR_SHA256}")


@app.command()
@command
def verify(data: DataOption = None, data_option: DataOptionsOption = None) -> None:
    """Check every cached and stored data set against its hashes; with --data, read that one anew and print its hashes.

    Exit code 4: one is damaged, and named. What is cached is parsed again by the next load; what is stored, `edgeconv
    data add` repairs.

    Example: edgeconv data verify
    """
    from edgeconv.data import load_data as load
    from edgeconv.data.cache import entries
    from edgeconv.data.cache import verify as intact
    from edgeconv.runtime.errors import CheckError

    if data is not None:
        dataset = load(data, options=data_options(data_option), use_cache=False)
        typer.echo(f"{dataset.name}: content hash {dataset.content_hash()}, read from {dataset.source}")
    damaged = []
    for entry in entries():
        good = intact(entry)
        typer.echo(f"{'intact ' if good else 'DAMAGED'} {entry.name} {entry.content_sha256} ({entry.path})")
        if not good:
            damaged.append(entry)
    stored = verify_stored()
    problems = (
        [f"{count(len(damaged), 'cached data set')} not as parsed: the next load parses again"] if damaged else []
    )
    if stored:
        problems.append(f"{count(len(stored), 'stored data set')} not as added: {'; '.join(stored)}")
    if problems:
        raise CheckError("; ".join(problems))


@app.command()
@command
def recordings(
    out: Annotated[Path, typer.Option(help="Folder to write, new or empty.", metavar="DIR")],
    data: DataOption = None,
    data_option: DataOptionsOption = None,
    split: Annotated[Literal["train", "test", "all"], typer.Option(help="Whose recordings.")] = "test",
    format_: Annotated[
        Literal["csv", "wav"] | None, typer.Option("--format", help="By default WAV for sounds, otherwise CSV.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace recordings written before.")] = False,
) -> None:
    """Write continuous recordings as CSV or WAV, with labels.csv, what is when, and dataset.toml, all the rest.

    --data reads such a folder again.

    Of HAPT, labels.csv names the transitions as well, as one class, unless --data-option transitions=… says otherwise.

    Example: edgeconv data recordings --out recordings
    """
    from edgeconv.data import SPLITS, write_recordings
    from edgeconv.data import recordings as continuous
    from edgeconv.data.load import known_options
    from edgeconv.data.write import usual_format

    options = data_options(data_option)
    if data is not None and "transitions" in known_options(data):
        options = {"transitions": "class", **options}
    dataset = load_data(data, options=options)
    sides = SPLITS if split == "all" else (split,)
    found = [recording for side in sides for recording in continuous(dataset, side)]
    with progress(len(found)) as show:
        write_recordings(
            dataset,
            found,
            out,
            file_format=format_ or usual_format(dataset),
            overwrite=overwrite,
            progress=lambda done, _: show(f"recordings of {dataset.name}", done),
        )
    seconds = sum(len(recording.samples) for recording in found) / dataset.sampling_rate_hz
    whose = "" if split == "all" else f"{split} "
    note(f"{out} holds {len(found)} {whose}recordings of {dataset.name}, {seconds / 60:.1f} minutes, and labels.csv")


@app.command()
@command
def fetch(
    url: Annotated[str | None, typer.Option(help="Another address, with its --sha256.")] = None,
    sha256: Annotated[str | None, typer.Option(help="SHA-256 that the file must have.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="File to write; by default in the cache folder.", metavar="FILE")
    ] = None,
) -> None:
    """Download UCI HAR, and keep it only if its SHA-256 is the published one. Prints the path.

    Example: edgeconv data fetch
    """
    from edgeconv.data import UCI_HAR_SHA256, UCI_HAR_URL
    from edgeconv.data import fetch as download
    from edgeconv.runtime.errors import UsageError

    if (url is None) != (sha256 is None):
        raise UsageError("--url and --sha256 belong together: a download is kept only if its SHA-256 is the one given")
    address = url or UCI_HAR_URL
    with progress(1.0) as show:
        path = download(
            address,
            sha256 or UCI_HAR_SHA256,
            out,
            lambda received, total: show(f"download {address}", received / total if total else 0.0),
        )
    typer.echo(path)
