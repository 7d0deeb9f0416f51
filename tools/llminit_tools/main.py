"""The commands of tools/study, and how their errors are reported."""
import importlib
import pathlib
import sys
from typing import Dict, List, Tuple

from .program import IO, USAGE, Failure

# command: (module, what it does)
COMMANDS: Dict[str, Tuple[str, str]] = {
    "source": ("source", "measure the source: lines, comments, long functions, circles between files"),
}
OLD_NAMES: Dict[str, str] = {}


def usage() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  {name.ljust(width)}  {what}\n" for name, (_, what) in COMMANDS.items()]
    return f"usage: tools/study COMMAND [OPTION...]\n\n{''.join(lines)}\ntools/study COMMAND --help says more.\n"


def run(name: str, command: str, arguments: List[str]) -> int:
    """The exit status of a command. `name`: the tool as the user called it."""
    module = importlib.import_module(f".{COMMANDS[command][0]}", __package__)
    tool = name.split()[-1].split("/")[-1]
    try:
        return module.main(name, arguments)
    except Failure as failure:
        print(f"{tool}: error: {failure}", file=sys.stderr)
        return failure.status
    except BrokenPipeError:  # as of "| head"
        sys.stdout = None
        return 0
    except OSError as error:
        print(f"{tool}: error: {error}", file=sys.stderr)
        return IO


def main(argv: List[str]) -> int:
    called = pathlib.Path(argv[0]).name
    if called in OLD_NAMES:
        return run(f"tools/{called}", OLD_NAMES[called], argv[1:])
    if len(argv) > 1 and argv[1] in COMMANDS:
        return run(f"tools/study {argv[1]}", argv[1], argv[2:])
    if len(argv) > 1 and argv[1] in ("-h", "--help"):
        print(usage(), end="")
        return 0
    if len(argv) > 1:
        print(f"study: error: {argv[1]!r} is not one of {', '.join(COMMANDS)}", file=sys.stderr)
    else:
        print(usage(), end="", file=sys.stderr)
    return USAGE
