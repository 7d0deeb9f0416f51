"""The commands of tools/study, and how their errors are reported."""
from __future__ import annotations

import importlib
import pathlib
import sys
from typing import Sequence

from .program import IO, IS_INSTALLED, USAGE, Failure, say

# command: (module, what it does)
COMMANDS = {
    "compare": ("compare", "train models from several starts and seeds, and compare them in one table"),
    "scaling": ("scaling", "time training on several numbers of ranks and grids, real or simulated"),
    "crossings": ("crossings", "count the rows that nodes need of each other, and the least they could send"),
    "model": ("step_model", "a model of a step on several nodes, beside a simulated scaling"),
    "tune": ("tune", "search the settings of models, or find the model for a dataset"),
    "collapse": ("collapse", "train at several widths: quality and effective rank over the width"),
    "cold": ("cold", "hide items from training, and measure how new items are recommended"),
    "curves": ("curves", "draw loss and valid metric by epoch"),
    "spectrum": ("spectrum", "draw the singular values of tables"),
    "report": ("report", "make an HTML page of one or several runs"),
    "export-log": ("export_log", "write the log of a run as CSV, or for TensorBoard or MLflow"),
    "same-bits": ("same_bits", "check that ranks, grid, threads, a kill and a resume change no bit"),
    "synthetic": ("synthetic", "make a large synthetic dataset with all cores"),
    "epoch": ("bench_epoch", "seconds of an epoch of LightGCN"),
    "ease": ("bench_ease", "seconds of EASE and of a wide PCA on several numbers of ranks"),
    "torture": ("torture", "try faults on the program: calls that fail, kills, flipped bits, delays"),
    "metrics": ("metrics", "print the test metrics of finished runs"),
    "source": ("source", "measure the source: lines, comments, long functions, circles between files"),
}
SOURCE_ONLY = ("crossings", "model", "ease", "torture", "source")  # of the source and what is built beside the program
if IS_INSTALLED:
    for source_only in SOURCE_ONLY:
        del COMMANDS[source_only]
# links to tools/study with a name of their own
LINKS = {
    "compare": "compare",
    "scaling_study": "scaling",
    "tune": "tune",
    "collapse_study": "collapse",
    "cold_study": "cold",
    "curves": "curves",
    "plot_spectrum": "spectrum",
    "same_bits": "same-bits",
    "make_synthetic": "synthetic",
    "torture": "torture",
    "epoch": "epoch",
    "ease": "ease",
}


def usage(name: str) -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  {name.ljust(width)}  {what}\n" for name, (_, what) in COMMANDS.items()]
    return f"usage: {name} COMMAND [OPTION...]\n\n{''.join(lines)}\n{name} COMMAND --help says more.\n"


def run(name: str, command: str, arguments: Sequence[str]) -> int:
    """The exit status of a command. `name`: how the user called it."""
    try:
        module = importlib.import_module(f".{COMMANDS[command][0]}", __package__)
        return module.main(name, arguments)
    except Failure as failure:
        say(f"error: {failure}")
        return failure.status
    except ModuleNotFoundError as error:
        say(f"error: Python's module {error.name} is not installed: run tools/install")
        return 1
    except BrokenPipeError:  # the reader left, as in "| head"
        sys.stdout = None  # type: ignore[assignment]
        return 0
    except OSError as error:
        say(f"error: {error}")
        return IO


def main(argv: Sequence[str]) -> int:
    called = pathlib.Path(argv[0])
    if called.name in LINKS:
        folder = "tools/bench" if called.parent.name == "bench" else "tools"
        return run(f"{folder}/{called.name}", LINKS[called.name], argv[1:])
    name = called.name if called.name == "llminit-study" else "tools/study"
    if len(argv) > 1 and argv[1] in COMMANDS:
        return run(f"{name} {argv[1]}", argv[1], argv[2:])
    if len(argv) > 1 and argv[1] in ("-h", "--help"):
        print(usage(name), end="")
        return 0
    if len(argv) > 1:
        print(f"study: error: {argv[1]!r} is not one of {', '.join(COMMANDS)}", file=sys.stderr)
    else:
        print(usage(name), end="", file=sys.stderr)
    return USAGE
