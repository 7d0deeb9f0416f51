"""Tables as text, Markdown and tab-separated values. A line is a list of fields; the first line is the header."""
from __future__ import annotations

from typing import Any, Collection, Iterable, Optional, Sequence

Line = Sequence[str]


def number(value: Optional[float], digits: int) -> str:
    """A number with so many decimal places, or "-" for None."""
    return "-" if value is None else f"{value:.{digits}f}"


def text(lines: Sequence[Line], right: Collection[int] = ()) -> str:
    """Columns two blanks apart, right-aligned if their numbers are in `right`. Empty columns are left out."""
    widths = [max(map(len, column)) for column in zip(*lines)]
    out = []
    for line in lines:
        fields = [field.rjust(width) if column in right else field.ljust(width)
                  for column, (field, width) in enumerate(zip(line, widths)) if width]
        out.append("  ".join(fields).rstrip() + "\n")
    return "".join(out)


def markdown(lines: Sequence[Line], right: Collection[int] = ()) -> str:
    header, *rows = lines
    rule = ["---:" if column in right else "---" for column in range(len(header))]
    return "".join(f"| {' | '.join(line)} |\n" for line in (header, rule, *rows))


def tsv(lines: Iterable[Iterable[Any]]) -> str:
    """None is an empty field; a number has all its digits."""
    return "".join("\t".join("" if field is None else str(field) for field in line) + "\n" for line in lines)


def right_from(first: int, lines: Sequence[Line]) -> range:
    """The columns from `first` on: those of numbers."""
    return range(first, len(lines[0]))
