"""Plots of lines by gnuplot (Debian: gnuplot-nox): pictures (SVG, PNG) or text."""
from __future__ import annotations

import dataclasses
import os
import pathlib
import shutil
import subprocess
import sys
from typing import Optional, Sequence, Union

from .program import FAILED, IO, Failure

TERMINALS = {
    ".svg": "svg size {0},{1} noenhanced background 'white'",
    ".png": "pngcairo size {0},{1} noenhanced",
    ".txt": "dumb size {2},{3} noenhanced",
}
PIXELS, CHARACTERS = (900, 560), (90, 24)  # width and height of a picture, of a text


Path = Union[str, pathlib.Path]


class PlotError(Failure):
    """A plot that cannot be drawn."""

    def __init__(self, message: str, status: int = FAILED):
        super().__init__(message, status)


@dataclasses.dataclass
class Series:
    label: str
    points: list[tuple[float, Optional[float]]]  # (x, y); None, and what a log scale cannot show, is left out
    style: str = "linespoints"  # gnuplot's: lines, points, linespoints


@dataclasses.dataclass
class Axes:
    title: str
    xlabel: str
    ylabel: str
    logx: bool = False
    logy: bool = False
    xtics: Optional[Sequence[float]] = None  # where x has its tics; None: gnuplot decides


@dataclasses.dataclass
class Panel:
    """One of several plots that are drawn below each other."""

    series: Sequence[Series]
    axes: Axes


def suffix_of(path: Path) -> str:
    """The kind of plot by the path's name: .svg, .png or .txt; "-" is text on stdout."""
    suffix = ".txt" if str(path) == "-" else pathlib.Path(path).suffix.lower()
    if suffix not in TERMINALS:
        raise PlotError(f"{path}: expected a name that ends in .svg, .png or .txt, or - for text on stdout")
    return suffix


def require_gnuplot() -> None:
    if not shutil.which("gnuplot"):
        raise PlotError("gnuplot is not installed: apt-get install gnuplot-nox, or tools/install --all")


def quoted(text: str) -> str:
    """A literal text for gnuplot."""
    return "'" + " ".join(str(text).split()).replace("'", "''") + "'"


def script(series: Sequence[Series], axes: Axes) -> str:
    """The commands for gnuplot that draw a panel."""
    lines = ["reset", f"set title {quoted(axes.title)}"]
    lines += [f"set xlabel {quoted(axes.xlabel)}", f"set ylabel {quoted(axes.ylabel)}"]
    lines += [f"set logscale {axis}" for axis, is_log in (("x", axes.logx), ("y", axes.logy)) if is_log]
    lines += ["set key bmargin left Left reverse maxcols 1", "set grid"]
    lines += ["set autoscale xfix", "set offsets graph 0.02, graph 0.02, 0, 0"]  # else the frame hides points
    if axes.xtics:
        lines.append(f"set xtics ({', '.join(map(repr, axes.xtics))})")
    curves = []
    for number, one in enumerate(series):
        lines += [f"$data{number} << end", *(f"{x!r} {y!r}" for x, y in one.points), "end"]
        curves.append(f"$data{number} with {one.style} title {quoted(one.label)}")
    return "\n".join([*lines, "plot " + ", ".join(curves), ""])


def visible(one: Series, axes: Axes) -> Series:
    """The series without what the scales cannot show."""
    points = [(x, y) for x, y in one.points if y is not None and (x > 0 or not axes.logx) and (y > 0 or not axes.logy)]
    return dataclasses.replace(one, points=points)


def without_blank_ends(text: str) -> str:
    lines = [line.rstrip() for line in text.replace("\f", "").splitlines()]
    return "\n".join(lines).strip("\n") + "\n"


def panel_script(panel: Panel) -> str:
    shown = [one for one in (visible(one, panel.axes) for one in panel.series) if one.points]
    if not shown:
        raise PlotError(f"{panel.axes.title}: there is nothing to draw")
    return script(shown, panel.axes)


def ask_gnuplot(commands: str) -> bytes:
    done = subprocess.run(["gnuplot"], input=commands.encode(), capture_output=True)
    if done.returncode != 0 or not done.stdout:
        raise PlotError(f"gnuplot: {' '.join(done.stderr.decode(errors='replace').split()) or 'drew nothing'}")
    return done.stdout


def drawn(panels: Sequence[Panel], suffix: str) -> bytes:
    """The panels as gnuplot draws them; as text one after the other. Fails with PlotError."""
    require_gnuplot()
    scripts = [panel_script(panel) for panel in panels]
    width, height = PIXELS
    terminal = f"set terminal {TERMINALS[suffix].format(width, height * len(panels), *CHARACTERS)}\n"
    if suffix == ".txt":
        texts = [without_blank_ends(ask_gnuplot(terminal + one).decode()) for one in scripts]
        return "\n".join(texts).encode()
    together = "".join([f"set multiplot layout {len(panels)},1\n", *scripts, "unset multiplot\n"])
    return ask_gnuplot(terminal + (together if len(panels) > 1 else scripts[0]))


def plot(series: Sequence[Series], axes: Axes, path: Path) -> None:
    """Draw one panel, as plot_panels() does."""
    plot_panels([Panel(series, axes)], path)


def plot_panels(panels: Sequence[Panel], path: Path) -> None:
    """Draw into `path`, by its suffix, completely or not at all, and make the folders above it; "-": as text on stdout.
    Fails with PlotError."""
    picture = drawn(panels, suffix_of(path))
    if str(path) == "-":
        sys.stdout.write(picture.decode())
        return
    try:
        temporary = pathlib.Path(f"{path}.tmp")
        temporary.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(picture)
        os.replace(temporary, path)
    except OSError as error:
        raise PlotError(f"{path}: cannot write: {error.strerror}", IO) from None
