"""edgeconv data add, show, split, export, remove: the store of data sets."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .console import count, note, progress, table, whole_numbers
from .data_stored import content_rows, listed, mebibytes, splits_table

if TYPE_CHECKING:
    from edgeconv.data.dataset import Dataset
    from edgeconv.data.store import Store
    from edgeconv.data.store_add import Added, Said

Reference = Annotated[
    str, typer.Argument(metavar="REF", help="A stored data set: NAME@VERSION, or NAME for its newest version.")
]


def add(
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="File, folder, exported data set or URL.")],
    name: Annotated[str | None, typer.Option(help="Name in the store; an exported data set has its own.")] = None,
    version: Annotated[str | None, typer.Option(help="By default the first 12 digits of the hash.")] = None,
    licence: Annotated[str | None, typer.Option(help="By default what the data set itself says.")] = None,
    provenance: Annotated[str | None, typer.Option(help="How the data came about, in words.")] = None,
    sha256: Annotated[str | None, typer.Option(help="SHA-256 that the file at a URL must have.")] = None,
) -> None:
    """Keep a data set in the store, as it came and with its hashes, for --data NAME@VERSION. Prints that name.

    A version never changes. An exported data set, a folder or a URL, brings its name, version and splits with it. With
    --name, a URL is that of one file.

    Example: edgeconv data add own.npz --name gait --licence "CC BY 4.0"
    """
    from edgeconv.data.store import Store
    from edgeconv.data.store_add import Said

    store, said = Store.usual(), Said(version, licence, provenance)
    with _bytes_shown(f"add {name or 'data set'}") as shown:
        if name is None:
            added = _exported(store, source, [*vars(said).values(), sha256] != [None] * 4, shown)
        else:
            added = _new(store, name, source, said, sha256, shown)
    manifest = added.version.manifest
    held = f"{count(len(manifest.files), 'file')}, {mebibytes(manifest.bytes)} MiB, sha256 {manifest.sha256}"
    note(f"{manifest.reference}: {held}{'' if added.new else '; was there before'}")
    if added.unparsed:
        note(f"it is kept as it is, but cannot be used for --data yet: {added.unparsed}")
    typer.echo(manifest.reference)


def show(reference: Reference) -> None:
    """Show what a stored data set says of itself: hashes, licence, provenance, labels, subjects, files, splits.

    Example: edgeconv data show gait
    """
    from edgeconv.data.store import Store
    from edgeconv.data.store_split import read_splits

    found = Store.usual().find(reference)
    manifest = found.manifest
    rows = [
        ("data set", manifest.reference),
        ("sha256", manifest.sha256),
        ("first added", manifest.created),
        ("from", manifest.source),
        ("licence", manifest.licence),
        ("provenance", manifest.provenance or "not stated"),
        ("folder", found.folder),
        *content_rows(manifest.content),
    ]
    typer.echo("\n".join(f"{word:<14}  {value}" for word, value in rows))
    files = [[file.path, file.bytes, file.sha256] for file in manifest.files]
    typer.echo("\n" + table(["file", "bytes", "sha256"], files))
    if splits := read_splits(found):
        typer.echo("\n" + splits_table(splits))


def split(
    reference: Reference,
    name: Annotated[str, typer.Option(help="Name of the split.")],
    test_subjects: Annotated[str, typer.Option(help="Their numbers: 2,4,9.", metavar="LIST")],
    train_subjects: Annotated[str | None, typer.Option(help="By default all others.", metavar="LIST")] = None,
) -> None:
    """Divide a stored data set into train and test by subject, for --data-option split=NAME.

    The split is kept beside the data set, which stays what it is, and is exported with it.

    Example: edgeconv data split gait@1 --name unseen --test-subjects 2,4
    """
    from edgeconv.data.store import Store
    from edgeconv.data.store_split import make_split

    store = Store.usual()
    found = store.find(reference)
    train = None if train_subjects is None else whole_numbers(train_subjects, "--train-subjects")
    made = make_split(store, found, name, whole_numbers(test_subjects, "--test-subjects"), train)
    train_side = "all others" if made.train is None else f"subjects {listed(made.train)}"
    typer.echo(f"{found.reference}, split {name}: train {train_side}, test subjects {listed(made.test)}")


def export(
    reference: Reference,
    place: Annotated[str, typer.Argument(metavar="PLACE", help="New folder, or URL that fsspec can write to.")],
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Write every file again.")] = False,
) -> None:
    """Write a stored data set with its splits to a folder or a bucket, from where `edgeconv data add` takes it.

    What is there already is left alone; of a version that is there, new splits are written.

    Example: edgeconv data export gait@1 s3://lab-data/gait-1
    """
    from edgeconv.data.store import Store
    from edgeconv.data.store_place import open_place
    from edgeconv.data.store_share import export_version

    found, target = Store.usual().find(reference), open_place(place)
    with _bytes_shown(f"export {found.reference}", found.manifest.bytes) as shown:
        written = export_version(found, target, overwrite=overwrite, progress=shown)
    note(f"{found.reference}: {count(len(written), 'file')} written" + ("" if written else "; all of it was there"))
    typer.echo(target.where(""))


def remove(
    reference: Annotated[str, typer.Argument(metavar="NAME@VERSION", help="Which version; there is no default.")],
    split: Annotated[str | None, typer.Option(help="Remove this split alone.", metavar="NAME")] = None,
) -> None:
    """Remove a version from the store, with its splits, or one split of it.

    Example: edgeconv data remove gait@1
    """
    from edgeconv.data.store import Store
    from edgeconv.data.store_manifest import split_reference
    from edgeconv.data.store_split import remove_split
    from edgeconv.runtime.errors import UsageError

    store = Store.usual()
    name, version = split_reference(reference) or (None, None)
    if name is None or version is None:
        raise UsageError(f"{reference!r} names no version; NAME@VERSION is expected, as `edgeconv data list` shows it")
    if split is not None:
        remove_split(store, store.find(reference), split)
    else:
        if not store.folder(name, version).exists():
            store.find(reference)  # says what there is
        store.remove(name, version)
    note(f"{reference}{'' if split is None else f', split {split},'} is removed")


def _new(store: Store, name: str, source: str, said: Said, sha256: str | None, shown: Callable[[int], None]) -> Added:
    from edgeconv.data.load import GENERATED, load_data
    from edgeconv.data.store_add import add_path, add_url
    from edgeconv.data.store_manifest import MANIFEST
    from edgeconv.data.store_place import as_url
    from edgeconv.runtime.errors import UsageError

    if name in GENERATED:
        raise UsageError(
            f"{name} is a generated data set, and --data {name} will go on to mean that; give another name"
        )

    def parse(path: Path) -> Dataset:
        return load_data(path, use_cache=False)

    path = Path(source)
    if not path.exists() and as_url(source) is not None:
        return add_url(store, name, source, sha256, said, parse=parse, progress=shown)
    if sha256 is not None:
        raise UsageError(f"--sha256 is for the file at a URL, and {source} is none")
    if (path / MANIFEST).is_file():
        raise UsageError(f"{source} is an exported data set, which has its name; leave out --name")
    return add_path(store, name, path, said, parse=parse, progress=shown)


def _exported(store: Store, source: str, described: bool, shown: Callable[[int], None]) -> Added:
    from edgeconv.data.store_place import as_url, open_place
    from edgeconv.data.store_share import fetch_exported, read_manifest
    from edgeconv.runtime.errors import MissingFileError, UsageError

    path = Path(source)
    if not path.exists() and as_url(source) is None:
        raise MissingFileError(f"{source} is not there; give a file, a folder or a URL")
    place = open_place(path if path.exists() else source)
    try:
        manifest = read_manifest(place)
    except MissingFileError:
        raise UsageError(
            f"{place.where('')} is no exported data set; for any other, give the --name under which it is kept"
        ) from None
    if described:
        raise UsageError(
            f"{place.where('')} is the exported {manifest.reference}, which says version, licence, provenance and "
            "hashes itself; leave these options out"
        )
    return fetch_exported(store, place, manifest, progress=shown)


@contextmanager
def _bytes_shown(what: str, total: int | None = None) -> Iterator[Callable[[int], None]]:
    """Show how many bytes there are so far; call what it gives with how many more."""
    done = 0
    with progress(total) as show:

        def shown(more: int) -> None:
            nonlocal done
            done += more
            show(what, done)

        yield shown
