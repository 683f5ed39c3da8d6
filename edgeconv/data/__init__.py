"""Data sets as windows with class ids and subjects, and as continuous recordings."""

from .arrays import load_arrays
from .dataset import SPLITS, Dataset, Recording, Segment, Split, SplitName
from .fetch import UCI_HAR_SHA256, UCI_HAR_URL, fetch
from .hapt import Hapt
from .load import load_data
from .stitch import recordings, stitch
from .uci_har import UciHar
from .write import write_recordings

__all__ = [
    "SPLITS",
    "UCI_HAR_SHA256",
    "UCI_HAR_URL",
    "Dataset",
    "Hapt",
    "Recording",
    "Segment",
    "Split",
    "SplitName",
    "UciHar",
    "fetch",
    "load_arrays",
    "load_data",
    "recordings",
    "stitch",
    "write_recordings",
]
