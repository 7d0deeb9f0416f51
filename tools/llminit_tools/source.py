"""Measure the source: comments, long functions and files, parameters, names that repeat, circles between files, pages.

    tools/study source [MODULE...] [--build FOLDER]

A comment line is one that begins inside /* */ or with /* or //; in headers, also one that ends with a comment. Shares
are of the lines that are not blank. A function is counted from the first line of its signature to its closing brace.
"statics explained": static functions of over 8 lines that have a comment above, of all of that length. A circle is a
set of files of one module that need symbols of one another, directly or by way of others in the set; circles are found
in the object files of --build.
"""
from __future__ import annotations

import collections
import dataclasses
import pathlib
import re
import subprocess
from typing import Iterator, Sequence

from . import table
from .options import Parser
from .program import ROOT, Word

MOST_LINES, MOST_PARAMETERS = 40, 5  # of a function
EXPLAINED = 8  # lines from which on a static function should have a comment


@dataclasses.dataclass
class Function:
    name: str
    is_static: bool
    first: int  # line number, from 1
    n_lines: int
    n_parameters: int
    is_explained: bool  # a comment ends on the line above


@dataclasses.dataclass
class Source:
    path: pathlib.Path
    n_lines: int
    n_blank: int
    n_comments: int  # lines of comment alone
    n_commented: int  # with those that end with one
    n_opening: int  # lines of the comment that the file opens with
    functions: list[Function]

    @property
    def module(self) -> str:
        return self.path.parent.name if self.path.suffix == ".c" or self.path.parent.name != "cf" else self.path.stem

    def __str__(self) -> str:
        return str(self.path.relative_to(ROOT))


# ---- One file --------------------------------------------------------------------------------------------------------


def comment_lines(lines: list[str]) -> tuple[list[bool], list[bool]]:
    """Of each line whether it is comment alone, and whether it has any comment."""
    alone, some, inside = [], [], False
    for line in lines:
        rest = line if inside else re.sub(r'"(\\.|[^"\\])*"', "", line)  # a /* in a string opens nothing
        alone.append(inside or line.strip().startswith(("/*", "//")))
        some.append(inside or "/*" in rest or "//" in rest)
        while True:
            mark = "*/" if inside else "/*"
            before, is_there, rest = rest.partition(mark)
            if not is_there or (not inside and "//" in before):
                break
            inside = not inside
    return alone, some


def n_parameters(signature: str) -> int:
    """Of the first pair of parentheses; commas within inner ones do not count."""
    depth, count, inner = 0, 1, ""
    for letter in signature[signature.index("("):]:
        depth += {"(": 1, ")": -1}.get(letter, 0)
        if depth == 0:
            break
        count += letter == "," and depth == 1
        inner += letter
    return 0 if inner[1:].strip() in ("", "void") else count


def functions_of(lines: list[str], comments: list[bool]) -> Iterator[Function]:
    """Definitions as clang-format lays them out: signature and braces begin in the first column."""
    first = None
    for number, line in enumerate(lines):
        if comments[number] or not line.strip():
            continue
        if line.startswith("{") and first is not None:
            signature = " ".join(re.split(r"/\*|//", part)[0] for part in lines[first:number])
            match = re.search(r"(\w+)\s*\(", signature)
            last = next(n for n in range(number, len(lines)) if lines[n].startswith("}"))
            if match and signature.rstrip().endswith(")"):
                yield Function(match[1], signature.startswith("static"), first + 1, last + 1 - first,
                               n_parameters(signature), first > 0 and comments[first - 1])
            first = None
        elif re.match(r"[A-Za-z_]", line):
            first = number
        if line.rstrip().endswith((";", "}")):
            first = None


def read(path: pathlib.Path) -> Source:
    lines = path.read_text(encoding="utf-8").splitlines()
    comments, commented = comment_lines(lines)
    opening = comments.index(False) if False in comments else len(lines)
    blank = sum(not line.strip() for line in lines)
    return Source(path, len(lines), blank, sum(comments), sum(commented), opening, list(functions_of(lines, comments)))


# ---- Circles ---------------------------------------------------------------------------------------------------------


def symbols(paths: list[pathlib.Path]) -> dict[pathlib.Path, tuple[set[str], set[str]]]:
    """(defined, undefined) of object files."""
    found: dict[pathlib.Path, tuple[set[str], set[str]]] = {path: (set(), set()) for path in paths}
    command: list[Word] = ["nm", "--print-file-name", "--extern-only", *paths]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout if paths else ""
    for line in printed.splitlines():
        path, _, rest = line.partition(".o:")
        *_, kind, name = rest.split()
        found[pathlib.Path(path + ".o")][kind == "U"].add(name)
    return found


def reached(graph: dict[str, set[str]], start: str) -> set[str]:
    """What a path of at least one edge leads to."""
    found: set[str] = set()
    ahead = list(graph[start])
    while ahead:
        node = ahead.pop()
        if node not in found:
            found.add(node)
            ahead += graph[node]
    return found


def circles_of(graph: dict[str, set[str]]) -> list[list[str]]:
    """The strongly connected components of more than one node."""
    reach = {node: reached(graph, node) for node in graph}
    circles = {tuple(sorted(other for other in reach[node] if node in reach[other])) for node in graph}
    return [list(circle) for circle in sorted(circles) if len(circle) > 1]


def module_circles(build: pathlib.Path, sources: list[Source]) -> Iterator[str]:
    """A line for each circle, or for a module that was not built."""
    for module in sorted({source.module for source in sources}):
        files = {source.path.stem: build / f"CMakeFiles/{module}.dir/src/{module}/{source.path.name}.o"
                 for source in sources if source.module == module and source.path.stem != "main"}
        built = symbols([path for path in files.values() if path.exists()])
        objects = {name: built[path] for name, path in files.items() if path in built}
        missing = sorted(files.keys() - objects.keys())
        if missing:
            yield f"{module}: not built: {' '.join(missing)}"
        graph = {name: {other for other, (defined, _) in objects.items() if other != name and defined & needs}
                 for name, (_, needs) in objects.items()}
        for circle in circles_of(graph):
            yield f"{module}: {' '.join(circle)}"


# ---- The report ------------------------------------------------------------------------------------------------------


def share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f}%" if whole else "-"


def n_filled(sources: list[Source]) -> int:
    """Lines that are not blank."""
    return sum(one.n_lines - one.n_blank for one in sources)


def module_line(module: str, sources: list[Source], headers: list[Source]) -> list[str]:
    mine = [source for source in sources if module in (source.module, "all")]
    statics = [one for source in mine for one in source.functions if one.is_static and one.n_lines > EXPLAINED]
    n_lines = sum(one.n_lines for one in mine)
    line = [
        module, str(len(mine)), str(n_lines), share(sum(one.n_comments for one in mine), n_filled(mine)),
        str(sum(len(one.functions) for one in mine)), f"{sum(one.is_explained for one in statics)}/{len(statics)}",
    ]
    for is_public in (True, False):
        heads = [one for one in headers if module in (one.module, "all") and is_public == ("include" in one.path.parts)]
        n_lines = sum(one.n_lines for one in heads)
        line += [str(n_lines), share(sum(one.n_commented for one in heads), n_filled(heads))]
    return line


def module_table(sources: list[Source], headers: list[Source]) -> str:
    lines = [["module", ".c files", "lines", "comment", "functions", "statics explained",
              "public .h", "comment", "private .h", "comment"]]
    for module in [*sorted({source.module for source in sources}), "all"]:
        lines.append(module_line(module, sources, headers))
    return table.text(lines, table.right_from(1, lines))


def section(title: str, lines: list[str]) -> str:
    return f"\n{title}: {len(lines)}\n" + "".join(f"  {line}\n" for line in lines)


def repeated_names(sources: list[Source]) -> list[str]:
    files = collections.defaultdict(list)
    for source in sources:
        for function in source.functions:
            if function.is_static:
                files[function.name].append(str(source).replace("src/", ""))
    repeated = {name: paths for name, paths in files.items() if len(paths) > 1}
    return [f"{name}: {' '.join(repeated[name])}" for name in sorted(repeated, key=lambda name: -len(repeated[name]))]


def long_functions(sources: list[Source]) -> list[str]:
    found = [(one, source) for source in sources for one in source.functions if one.n_lines > MOST_LINES]
    found.sort(key=lambda pair: -pair[0].n_lines)
    return [f"{one.n_lines} {source}:{one.first} {one.name}" for one, source in found]


def many_parameters(sources: list[Source]) -> list[str]:
    found = [(one, source) for source in sources for one in source.functions if one.n_parameters > MOST_PARAMETERS]
    found.sort(key=lambda pair: -pair[0].n_parameters)
    return [f"{one.n_parameters} {source}:{one.first} {one.name}" for one, source in found]


def longest(sources: list[Source]) -> str:
    functions = [(one.n_lines, f"{source}:{one.first} {one.name}") for source in sources for one in source.functions]
    lines = sorted(one.n_lines for source in sources for one in source.functions)
    file_lines, path = max((one.n_lines, str(one)) for one in sources)
    length, place = max(functions)
    return (f"\nlongest function: {length} lines, {place}\n"
            f"median and 90th percentile of functions: {lines[len(lines) // 2]}, {lines[len(lines) * 9 // 10]} lines\n"
            f"longest file: {file_lines} lines, {path}\n")


def pages() -> str:
    """Lines and bytes of every Markdown page."""
    command: list[Word] = ["git", "-C", ROOT, "ls-files", "-z", "*.md"]
    listed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    lines = [["page", "lines", "bytes", "longest line"]]
    for name in sorted(filter(None, listed.split("\0")), key=lambda name: (name.count("/"), name)):
        text = (ROOT / name).read_text(encoding="utf-8")
        longest_line = max(map(len, text.splitlines()), default=0)
        lines.append([name, str(text.count("\n")), str(len(text.encode())), str(longest_line)])
    return "\n" + table.text(lines, table.right_from(1, lines))


def main(name: str, arguments: Sequence[str]) -> int:
    parser = Parser(name, "[MODULE...] [--build FOLDER]", __doc__)
    parser.add_argument("modules", metavar="MODULE", nargs="*", help="measure these alone; default: all")
    parser.add_argument("--build", metavar="FOLDER", type=pathlib.Path, default=ROOT / "build",
                        help="where the object files are; default: build")
    options = parser.parse_args(arguments)
    sources = [read(path) for path in sorted(ROOT.glob("src/*/*.c"))]
    headers = [read(path) for path in sorted([*ROOT.glob("include/cf/*.h"), *ROOT.glob("src/*/*.h")])]
    unknown = set(options.modules) - {source.module for source in sources}
    if unknown:
        parser.error(f"there is no module {sorted(unknown)[0]!r}")
    if options.modules:
        sources = [source for source in sources if source.module in options.modules]
        headers = [header for header in headers if header.module in options.modules]
    print(module_table(sources, headers) + longest(sources), end="")
    print(section(f"functions of over {MOST_LINES} lines", long_functions(sources)), end="")
    print(section(f"functions with over {MOST_PARAMETERS} parameters", many_parameters(sources)), end="")
    unopened = [str(source) for source in sources if source.n_opening < 2]
    print(section(".c files without a header comment of 2 lines", unopened), end="")
    print(section("static functions whose name stands in several files", repeated_names(sources)), end="")
    print(section("circles between files of a module", list(module_circles(options.build, sources))), end="")
    print(pages() if not options.modules else "", end="")
    return 0
