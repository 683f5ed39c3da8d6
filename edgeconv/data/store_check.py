"""Whether the files of a stored version are those of its manifest: every byte is hashed, every time."""

from __future__ import annotations

from edgeconv.folder import file_sha256
from edgeconv.runtime.errors import InputError

from .store import Version
from .store_manifest import FILES


def problems(version: Version) -> list[str]:
    """Return what differs from the manifest, one line a file, each beginning with its path."""
    found = []
    expected = {file.path: file for file in version.manifest.files}
    for path, file in expected.items():
        try:
            seen = file_sha256(version.files / path)
        except FileNotFoundError:
            found.append(f"{FILES}/{path} is missing")
        except OSError as error:
            found.append(f"{FILES}/{path} cannot be read ({error.strerror or error})")
        else:
            if seen != file.sha256:
                found.append(f"{FILES}/{path} was changed: SHA-256 {file.sha256} expected, {seen} seen")
    extra = sorted(set(_present(version)) - set(expected))
    return found + [f"{FILES}/{path} is no file of this version" for path in extra]


def require_intact(version: Version) -> None:
    """Raise InputError that names the files which are not those of the manifest."""
    if found := problems(version):
        raise InputError(
            f"{version.reference} is not as it was added: {'; '.join(found)} ({version.folder}); add it again from "
            "where it came, which replaces what is damaged"
        )


def _present(version: Version) -> list[str]:
    paths = version.files.rglob("*")
    return [path.relative_to(version.files).as_posix() for path in paths if not path.is_dir() or path.is_symlink()]
