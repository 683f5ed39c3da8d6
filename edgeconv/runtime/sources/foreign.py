"""Files that are neither text nor NPY, recognised by their first bytes so that the message can say what to do."""

from __future__ import annotations

from ..errors import InputError

UNPACK = "unpack it first"
CONVERT = "save it as CSV or NPY"
AS_WAV = "save it as WAV"
RECODE = "save it as UTF-8"

FOREIGN: tuple[tuple[bytes, str, str], ...] = (
    (b"BZh", "compressed with bzip2", UNPACK),
    (b"\xfd7zXZ\0", "compressed with xz", UNPACK),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive", UNPACK),
    (b"FEA1", "a Feather file of version 1", "save it as Feather version 2, which is Arrow, or as CSV"),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file", CONVERT),
    (b"MATLAB 5.0", "a MATLAB file", CONVERT),
    (b"\xd0\xcf\x11\xe0", "an old Excel workbook", CONVERT),
    (b"fLaC", "a FLAC file", AS_WAV),
    (b"OggS", "an Ogg file", AS_WAV),
    (b"ID3", "an MP3 file", AS_WAV),
    (b"RIFX", "a RIFF file of big-endian numbers", AS_WAV),
    (b"RF64", "a WAV file for more than 4 GiB (RF64)", "cut it into WAV files below 4 GiB"),
    (b"\xff\xfe\0\0", "UTF-32 text", RECODE),
    (b"\0\0\xfe\xff", "UTF-32 text", RECODE),
    (b"\xff\xfe", "UTF-16 text", RECODE),
    (b"\xfe\xff", "UTF-16 text", RECODE),
)
"""First bytes, what such a file is, what to do; of two that fit, the longer comes first."""


def refuse_foreign(head: bytes, where: str) -> None:
    """Raise InputError where the first bytes of the file `where` show that it is neither text nor NPY."""
    for magic, kind, remedy in FOREIGN:
        if head.startswith(magic):
            raise InputError(f"{where}: this is {kind}; expected text in UTF-8 or NPY: {remedy}")
    if b"\0" in head:
        # Text in UTF-16 without its mark: every other byte of plain characters is zero.
        pairs = len(head) // 2
        if pairs > 1 and pairs in (head[0::2].count(0), head[1::2].count(0)) and head.count(0) == pairs:
            raise InputError(f"{where}: this is UTF-16 text; expected text in UTF-8 or NPY: {RECODE}")
        raise InputError(f"{where}: this is neither text nor NPY, it begins with {head[:8]!r}; {CONVERT}")
