"""What `edgeconv data list`, `verify` and `show` say of the store of data sets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import typer

from .console import table

if TYPE_CHECKING:
    from edgeconv.data.store_split import Splits


def stored_text() -> str:
    """Return the versions in the store as a table, under the store's place."""
    from edgeconv.data.store import Store

    store = Store.usual()
    rows = [
        [
            found.reference,
            len(found.manifest.files),
            mebibytes(found.manifest.bytes),
            found.manifest.sha256[:12],
            found.manifest.licence,
        ]
        for found in store.versions()
    ]
    head = f"Data sets in {store.root}: {len(rows) or 'none'}"
    return f"{head}\n{table(['data set', 'files', 'MiB', 'SHA-256', 'licence'], rows)}" if rows else head


def verify_stored() -> list[str]:
    """Hash every stored file anew, print what each version is, and return what is damaged, each with its files."""
    from edgeconv.data.store import Store, read_version
    from edgeconv.data.store_check import problems
    from edgeconv.data.store_split import read_splits
    from edgeconv.runtime.errors import InputError

    damaged = []
    for folder in Store.usual().version_folders():
        reference = f"{folder.parent.name}@{folder.name}"
        try:
            found = read_version(folder)
            read_splits(found)
            wrong = problems(found)
            advice = "; add it again from where it came"
        except InputError as error:
            wrong, advice = [str(error)], f", after `edgeconv data remove {reference}`"
        typer.echo(f"{'DAMAGED' if wrong else 'intact '} {reference} ({folder})")
        if wrong:
            damaged.append(f"{reference}: {', '.join(wrong)}{advice}")
    return damaged


def content_rows(content: Mapping[str, Any] | None) -> list[tuple[str, object]]:
    """Return what a manifest says of the set as parsed, one word and its value a line."""
    if content is None:
        return [("content", "not known: it could not be parsed")]
    windows = [f"{windows} {side}" for side, windows in content["windows"].items()]
    return [
        ("content", f"{content['name']}, content hash {content['content_sha256']}"),
        ("labels", ", ".join(content["labels"])),
        ("channels", f"{', '.join(content['channels'])} at {content['sampling_rate_hz']:g} Hz"),
        ("windows", ", ".join(windows)),
        *((f"{side} subjects", listed(who) or "none") for side, who in content["subjects"].items()),
    ]


def splits_table(splits: Splits) -> str:
    """Return the splits of a version as a table."""
    rows = [
        [
            name,
            "all others" if found.train is None else listed(found.train),
            listed(found.test),
            found.sha256[:12],
        ]
        for name, found in splits.items()
    ]
    return table(["split", "train subjects", "test subjects", "sha256"], rows)


def listed(subjects: Iterable[int]) -> str:
    """Return subjects as options take them."""
    return ",".join(map(str, subjects))


def mebibytes(size: int) -> str:
    """Return a size as text."""
    return f"{size / 2**20:.1f}"
