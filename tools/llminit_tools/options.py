"""Parts of command lines that several commands share."""
import argparse
from typing import NoReturn

from .program import Failure


class Parser(argparse.ArgumentParser):
    """An argument parser whose description keeps its line breaks, and whose errors are Failures: one line."""

    def __init__(self, name: str, usage: str, description: str):
        super().__init__(
            prog=name,
            usage=f"{name} {usage}",
            description=description,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )

    def error(self, message: str) -> NoReturn:
        raise Failure(f"{message} (--help says more)")
