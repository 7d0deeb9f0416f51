"""The program llminit: where it is, how it is run, and what went wrong if it failed."""
import pathlib

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
FAILED, USAGE, FORMAT, IO, STOPPED = 1, 2, 3, 4, 75  # exit statuses, of the program and of the tools


class Failure(Exception):
    """An error to report in one line, and the exit status."""

    def __init__(self, message: str, status: int = USAGE):
        super().__init__(message)
        self.status = status
