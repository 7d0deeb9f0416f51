"""Parts of command lines that several commands share: the parser, types of values, and options."""
from __future__ import annotations

import argparse
import os
import pathlib
import re
import shlex
from typing import Callable, Iterable, NoReturn, Optional

from . import program
from .program import BUILD, Failure, Program, Word

FORMATS = ("txt", "md", "tsv")


class Parser(argparse.ArgumentParser):
    """An argument parser whose description keeps its line breaks, and whose errors are Failures: one line."""

    def __init__(self, name: str, usage: str, description: Optional[str]):
        super().__init__(
            prog=name,
            usage=f"{name} {usage}",
            description=description,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )

    def error(self, message: str) -> NoReturn:
        raise Failure(f"{message} (--help says more)")


# ---- Types of values -------------------------------------------------------------------------------------------------


def positive(text: str) -> int:
    if not re.fullmatch(r"[1-9]\d*", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1")
    return int(text)


def ascending(text: str) -> list[int]:
    """Numbers with commas (or blanks) between them."""
    numbers = [positive(word) for word in re.split(r"[,\s]+", text.strip())]
    if sorted(set(numbers)) != numbers:
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of ascending numbers, as 1,2,4")
    return numbers


def words(text: str) -> list[str]:
    """The comma-separated words of an option: at least one, none twice."""
    found = text.split(",")
    if "" in found or len(set(found)) != len(found):
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of different words, as A,B")
    return found


def seeds(text: str) -> list[int]:
    if not re.fullmatch(r"\d+(,\d+)*", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of whole numbers, as 2020,2021")
    return [int(word) for word in words(text)]


def setting_but(reserved: dict[str, str]) -> Callable[[str], str]:
    """The type of NAME=VALUE without the settings of `reserved`, {name: what sets it}."""

    def setting(text: str) -> str:
        name, is_given, _ = text.partition("=")
        if not name or not is_given:
            raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
        if name in reserved:
            raise argparse.ArgumentTypeError(f"{text!r}: {name} is set by {reserved[name]}")
        return text

    return setting


def variants_but(reserved: dict[str, str]) -> Callable[[str], list[str]]:
    """The type of words (models, starts), each with settings of its own after colons, but those of `reserved`."""
    setting = setting_but(reserved)

    def variants(text: str) -> list[str]:
        for word in words(text):
            for own in word.split(":")[1:]:
                setting(own)
        return words(text)

    return variants


# ---- Options ---------------------------------------------------------------------------------------------------------


class Training(argparse.Namespace):
    """Options of commands that train. `program` and `threads` are completed by complete_training()."""

    out: pathlib.Path
    settings: Optional[pathlib.Path]
    set: list[str]
    threads: Optional[int]
    launch: Optional[list[str]]
    format: str
    build: pathlib.Path
    program: Program

    def settings_file(self) -> list[Word]:
        return [self.settings] if self.settings else []


def add_build(parser: Parser) -> None:
    parser.add_argument("--build", metavar="FOLDER", type=pathlib.Path, default=BUILD,
                        help="the folder of llminit; default: build, or where it is installed")


def add_set(parser: Parser, setting: Callable[[str], str]) -> None:
    parser.add_argument("--set", metavar="NAME=VALUE", type=setting, action="append", default=[],
                        help="one setting; may be repeated")


def add_training(parser: Parser, reserved: dict[str, str], threads: str, launch: str) -> None:
    """--out, --settings, --set, --threads, --launch, --format, --build; defaults of two of them in words."""
    add = parser.add_argument
    add("--out", metavar="FOLDER", type=pathlib.Path, required=True, help="the folder of runs, tables and plots")
    add("--settings", metavar="FILE.yaml", type=pathlib.Path, help="settings of all runs, as for llminit train")
    add_set(parser, setting_but(reserved))
    add("--threads", metavar="N", type=positive, help=f"threads of a rank; default: OMP_NUM_THREADS, or {threads}")
    add("--launch", metavar="COMMAND", type=shlex.split, help=f"the command that starts the ranks; default: {launch}")
    add("--format", choices=FORMATS, default="txt", help="of the table on stdout; default: txt")
    add_build(parser)


def require_files(paths: Iterable[Optional[pathlib.Path]]) -> None:
    for path in paths:
        if path and not path.is_file():
            raise Failure(f"{path}: no such file")


def complete_training(options: Training, threads: int) -> None:
    """Find the program; `threads` of a rank where neither --threads nor OMP_NUM_THREADS says."""
    n_threads = options.threads or os.environ.get("OMP_NUM_THREADS") or threads
    env = program.environment(n_threads, on_this_machine=not options.launch)
    options.program = Program(program.find(options.build), env)


def as_sets(settings: Iterable[str]) -> list[Word]:
    """--set in front of each."""
    return [word for text in settings for word in ("--set", text)]
