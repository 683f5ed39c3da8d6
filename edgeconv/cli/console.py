"""What the verbs share: errors as one line and an exit code, progress on stderr, tables."""

from __future__ import annotations

import functools
import os
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from edgeconv.data.dataset import Dataset
    from edgeconv.runtime.spec import ModelSpec

INTERRUPTED = 130

DataOption = Annotated[
    Path | None,
    typer.Option(
        "--data",
        help="UCI HAR or HAPT as folder or zip, a folder of labelled recordings, .ts files of UCR or UEA, an .npz "
        "file that describes itself, a stored set (NAME or NAME@VERSION), the URL of an exported one, or a generated "
        "set: synthetic-har (the default), synthetic-tones.",
        metavar="PATH",
    ),
]
ModelDataOption = Annotated[
    Path | None,
    typer.Option(
        "--data",
        help="UCI HAR or HAPT as folder or zip, a folder of labelled recordings, .ts files of UCR or UEA, a "
        "generated set by its name, a stored one by NAME or NAME@VERSION, the URL of an exported one, or an .npz file "
        "of windows.",
        metavar="PATH",
    ),
]
DataOptionsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--data-option",
        help="What is asked of the data set, several times for several: for HAPT and folders window=128, hop=64; for "
        "HAPT transitions=leave-out, class or each, and derive=uci-har; for folders leave-out=LABEL,LABEL; for .ts "
        "files rate=1 (Hz); for stored sets split=NAME.",
        metavar="NAME=VALUE",
    ),
]


def command(function: Callable[..., None]) -> Callable[..., None]:
    """Make a verb end with one line on stderr and a documented exit code instead of a traceback."""

    @functools.wraps(function)
    def run(*args: Any, **kwargs: Any) -> None:
        warnings.showwarning = lambda message, *_args, **_kwargs: note(f"warning: {message}")
        try:
            function(*args, **kwargs)
            sys.stdout.flush()
        except BrokenPipeError:
            _let_go_of_unwritable_streams()  # the reader has what it wanted
        except KeyboardInterrupt:
            note("interrupted; what was finished is kept")
            raise typer.Exit(INTERRUPTED) from None
        except Exception as error:
            code = getattr(error, "exit_code", None)
            if code is None:
                raise
            note(f"error: {error}")
            _let_go_of_unwritable_streams()
            raise typer.Exit(code) from None

    return run


def _let_go_of_unwritable_streams() -> None:
    """Drop what stdout and stderr could not write: Python would complain once more when it flushes them at the end."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def note(text: str) -> None:
    """Say something that is not a result, on stderr."""
    # In one piece, because threads may say something at the same time.
    print(f"edgeconv: {text}\n", end="", file=sys.stderr, flush=True)


def count(number: int, noun: str) -> str:
    """Return a number with its noun: `1 window`, `2 windows`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def whole_numbers(text: str | None, option: str) -> list[int]:
    """Return the numbers of a list separated by commas; raises UsageError where one is not whole."""
    from edgeconv.runtime.errors import UsageError

    try:
        return [] if text is None else [int(number) for number in text.split(",")]
    except ValueError:
        raise UsageError(f"{option} is {text!r}; give whole numbers separated by commas, such as 16,8,1") from None


def data_options(given: Sequence[str] | None) -> dict[str, str]:
    """Return the options given as NAME=VALUE; raises UsageError for another form and for a name given twice."""
    from edgeconv.runtime.errors import UsageError

    found: dict[str, str] = {}
    for text in given or ():
        name, equals, value = (part.strip() for part in text.partition("="))
        if not (name and equals and value) or name in found:
            problem = "is given twice" if name in found else "is not NAME=VALUE"
            raise UsageError(f"--data-option {text!r} {problem}; give each option once, as in --data-option window=128")
        found[name] = value
    return found


def certificate_of(folder: Path) -> dict[str, Any]:
    """Return the certificate of a model folder; nothing where it has none that can be read."""
    from edgeconv.folder import CERTIFICATE, read_json
    from edgeconv.runtime.errors import EdgeconvError

    try:
        return read_json(folder / CERTIFICATE, "`edgeconv export`")
    except EdgeconvError:
        return {}


def why_missing(model: Path, name: str, hop: int) -> str:
    """Return why a model has no `dense.onnx`, or another such file, and what to do."""
    from edgeconv.runtime.artefact import Artefact

    if not model.is_dir():
        return f"{model.name} is one file; its folder may have {name}"
    left_out = certificate_of(model).get("left_out", {})
    artefact = Artefact.parse(name)
    reason = left_out.get(name) or (left_out.get(artefact.kind.name) if artefact else None)
    if reason:
        return f"there can be no {name}: {reason}"
    formats = "dense-int8,stateful-int8" if artefact and artefact.precision == "int8" else "dense,stateful"
    return f"there is no {name}; `edgeconv export {model} --format {formats} --hops {hop}` writes it"


def certificate_table(entries: Mapping[str, Any]) -> str:
    """Return the figures of a certificate's files as a table, and under it what they say."""
    rows = [
        [
            name,
            f"{100 * entry['accuracy']:.2f}",
            f"{100 * entry['reference_accuracy']:.2f}",
            f"{entry['max_abs_diff']:.1e}",
            f"{entry['relative_logit_diff']:.1e}",
            f"{max(found['max_abs_diff'] for found in entry['adversarial'].values()):.1e}",
            f"{100 * entry['top1_agreement']:.2f}",
            f"{len(entry['flips'])}" + (f" ({entry['ties']})" if entry["ties"] else ""),
            f"{entry['bytes'] / 1024:.0f}",
        ]
        for name, entry in entries.items()
    ]
    head = [
        "file", "accuracy %", "reference %", "max |Δp|", "|Δlogit| rel.", "adversarial |Δp|", "same top class %",
        "flips (ties)", "KiB",
    ]  # fmt: skip
    width = max(map(len, entries), default=0)
    return table(head, rows) + "".join(f"\n{name:<{width}}  {entry['verdict']}" for name, entry in entries.items())


def load_data(path: Path | None, spec: ModelSpec | None = None, options: Mapping[str, str] | None = None) -> Dataset:
    """Load the data of a command and say which they are."""
    from edgeconv.data import load_data as load

    dataset = load(path, spec, options)
    note(
        f"data: {dataset.name}{' (generated, not measured)' if dataset.synthetic else ''}, "
        f"{len(dataset.train)} training and {len(dataset.test)} test windows"
    )
    return dataset


def load_data_of(folder: Path, path: Path | None, options: Mapping[str, str] | None = None) -> Dataset:
    """Load the data that a model folder was trained on: those at `path`, or found by what `training.json` says.

    The options of the training hold again, where the set at `path` has them; those given here come first. Raises
    MissingFileError where the data are not synthetic, not in the store and not in the cache, or not known, and
    UsageError for options without a path.
    """
    from edgeconv import folder as files
    from edgeconv.data.cache import entries, read_entry
    from edgeconv.data.load import GENERATED, data_path, known_options
    from edgeconv.data.store_resolve import recorded_reference
    from edgeconv.runtime.errors import MissingFileError, UsageError
    from edgeconv.runtime.spec import ModelSpec

    if path is None and options:
        raise UsageError("--data-option says how to read a data set, and none is given; give it with --data")

    def spec_for(path: Path | None) -> ModelSpec | None:
        windows_only = path is not None and data_path(path).suffix == ".npz"
        return ModelSpec.load(folder / files.SPEC) if windows_only else None

    if path is not None and not (folder / files.TRAINING).exists():
        return load_data(
            path, spec_for(path), options
        )  # a certificate can be checked without the record of the training
    if (folder / files.ORIGIN).exists():
        raise MissingFileError(f"{folder} was made elsewhere, and its data are not known here; give them with --data")
    data = files.read_json(folder / files.TRAINING, "`edgeconv train`").get("data", {})
    path = path or recorded_reference(data)
    if path is None and not data.get("synthetic"):
        for entry in entries():
            if entry.content_sha256 == data.get("content_hash"):
                dataset = read_entry(entry)
                if dataset is not None:
                    note(f"data: {dataset.name} from the cache")
                    return dataset
        raise MissingFileError(
            f"{folder} was trained on {data.get('name')} (content hash {str(data.get('content_hash'))[:12]}…), "
            "which is neither in the store nor in the cache; give it with --data"
        )
    if path is None and data.get("name") in GENERATED:
        path = Path(data["name"])
    stored = {} if path is None else data.get("options", {})
    if path is not None and not stored.keys() <= known_options(path).keys():
        stored = {}
    dataset = load_data(path, spec_for(path), {**stored, **(options or {})})
    if dataset.content_hash() != data.get("content_hash"):
        note(f"these are other data than {folder} was trained on ({data.get('name')})")
    return dataset


@contextmanager
def progress(total: float | None = None) -> Iterator[Callable[[str, float], None]]:
    """Show a progress bar on stderr while the block runs; call what it gives with a description and how much is done.

    Where stderr is no terminal each new description is one line.
    """
    if not sys.stderr.isatty():
        last = ""

        def line(description: str, _done: float) -> None:
            nonlocal last
            if description != last:
                note(description)
            last = description

        yield line
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=total)
        yield lambda description, done: bar.update(task, description=description, completed=done)


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return a table as aligned text: columns of numbers to the right, others to the left."""
    cells = [[str(cell) for cell in row] for row in (head, *rows)]
    columns = list(zip(*cells, strict=True))
    aligned = []
    for column in columns:
        width = max(map(len, column))
        right = all(_is_number(cell) for cell in column[1:] if cell)
        aligned.append([cell.rjust(width) if right else cell.ljust(width) for cell in column])
    return "\n".join("  ".join(line).rstrip() for line in zip(*aligned, strict=True))


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
