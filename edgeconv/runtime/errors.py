"""Every error that edgeconv raises on purpose.

    EdgeconvError
    ├── UsageError       (ValueError)           2  an option or argument that makes no sense
    ├── DependencyError  (ImportError)          2  an optional package that is not installed
    ├── InputError       (ValueError)           3  bad input data, or a broken signal contract
    │   └── MissingFileError (FileNotFoundError)   …a file or folder that is not there
    ├── CheckError       (RuntimeError)         4  a check ran and did not pass
    ├── DeviceError      (RuntimeError)         5  the device asked for is not available
    ├── ArtefactError    (ValueError)           6  a model file that is damaged, or not edgeconv's
    └── ConversionError  (RuntimeError)         7  a layer or form that cannot be converted

Each is also the matching built-in, so both styles of `except` work. The message says what was seen, what was expected
and what to do. Only the command line catches them: one line on stderr and the exit code given here.
"""


class EdgeconvError(Exception):
    """Base of all errors raised on purpose."""

    exit_code = 1


class UsageError(EdgeconvError, ValueError):
    """An option or argument that makes no sense."""

    exit_code = 2


class DependencyError(EdgeconvError, ImportError):
    """An optional package that is not installed; the message names the extra that brings it."""

    exit_code = 2


class InputError(EdgeconvError, ValueError):
    """Input data that cannot be used, or that break the signal contract."""

    exit_code = 3


class MissingFileError(InputError, FileNotFoundError):
    """A file or folder that is not there."""


class CheckError(EdgeconvError, RuntimeError):
    """A check that ran and did not pass: artefacts not equivalent, a target not met."""

    exit_code = 4


class DeviceError(EdgeconvError, RuntimeError):
    """The device asked for is not available."""

    exit_code = 5


class ArtefactError(EdgeconvError, ValueError):
    """A model file that is damaged, incomplete, or not an edgeconv model."""

    exit_code = 6


class ConversionError(EdgeconvError, RuntimeError):
    """A layer or form that cannot be converted; the message names it."""

    exit_code = 7
