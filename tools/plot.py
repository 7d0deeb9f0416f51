"""Plots of lines by gnuplot: pictures (SVG, PNG) or text. Used by tools/plot_spectrum and others; needs gnuplot-nox."""
import dataclasses
import os
import pathlib
import shutil
import subprocess
import sys

TERMINALS = {
    ".svg": "svg size {0},{1} noenhanced background 'white'",
    ".png": "pngcairo size {0},{1} noenhanced",
    ".txt": "dumb size {2},{3} noenhanced",
}
PIXELS, CHARACTERS = (900, 560), (90, 24)  # width and height of a picture, of a text


class PlotError(Exception):
    """One line for the user, and the exit status."""

    def __init__(self, message, status=1):
        super().__init__(message)
        self.status = status


@dataclasses.dataclass
class Series:
    label: str
    points: list  # (x, y); None, and what a log scale cannot show, is left out
    style: str = "linespoints"  # gnuplot's: lines, points, linespoints


def suffix_of(path):
    """The kind of plot that a path asks for: .svg, .png or .txt ("-": text on stdout)."""
    suffix = ".txt" if str(path) == "-" else pathlib.Path(path).suffix.lower()
    if suffix not in TERMINALS:
        raise PlotError(f"{path}: expected a name that ends with .svg, .png or .txt, or - for text on stdout")
    return suffix


def require_gnuplot():
    if not shutil.which("gnuplot"):
        raise PlotError("gnuplot is not installed: apt-get install gnuplot-nox, or tools/install --all")


def quoted(text):
    """As gnuplot takes a text literally."""
    return "'" + " ".join(str(text).split()).replace("'", "''") + "'"


def script(series, terminal, labels, scales):
    """What gnuplot is told. `labels`: title, xlabel, ylabel; `scales`: which axes are logarithmic, and the tics of x."""
    logx, logy, xtics = scales
    lines = [f"set terminal {terminal}"]
    lines += [f"set {name} {quoted(text)}" for name, text in zip(("title", "xlabel", "ylabel"), labels)]
    lines += [f"set logscale {axis}" for axis, is_log in (("x", logx), ("y", logy)) if is_log]
    lines += ["set key bmargin left Left reverse maxcols 1", "set grid"]
    lines += ["set autoscale xfix", "set offsets graph 0.02, graph 0.02, 0, 0"]  # else points lie under the frame
    if xtics:
        lines.append(f"set xtics ({', '.join(map(repr, xtics))})")
    curves = []
    for number, one in enumerate(series):
        lines += [f"$data{number} << end", *(f"{x!r} {y!r}" for x, y in one.points), "end"]
        curves.append(f"$data{number} with {one.style} title {quoted(one.label)}")
    return "\n".join([*lines, "plot " + ", ".join(curves), ""])


def visible(one, logx, logy):
    """The series without what the scales cannot show."""
    points = [(x, y) for x, y in one.points if y is not None and (x > 0 or not logx) and (y > 0 or not logy)]
    return dataclasses.replace(one, points=points)


def without_blank_ends(text):
    lines = [line.rstrip() for line in text.replace("\f", "").splitlines()]
    return "\n".join(lines).strip("\n") + "\n"


def plot(series, title, xlabel, ylabel, path, logx=False, logy=False, xtics=None):
    """Draw Series into `path`, by its suffix, whole or not at all; "-": as text on stdout. `xtics`: numbers. Fails with PlotError."""
    suffix = suffix_of(path)
    require_gnuplot()
    shown = [one for one in (visible(one, logx, logy) for one in series) if one.points]
    if not shown:
        raise PlotError(f"{title}: there is nothing to draw")
    terminal = TERMINALS[suffix].format(*PIXELS, *CHARACTERS)
    told = script(shown, terminal, (title, xlabel, ylabel), (logx, logy, xtics))
    done = subprocess.run(["gnuplot"], input=told.encode(), capture_output=True)
    if done.returncode != 0 or not done.stdout:
        raise PlotError(f"gnuplot: {' '.join(done.stderr.decode(errors='replace').split()) or 'drew nothing'}")
    drawn = done.stdout if suffix != ".txt" else without_blank_ends(done.stdout.decode()).encode()
    if str(path) == "-":
        sys.stdout.write(drawn.decode())
        return
    try:
        temporary = pathlib.Path(f"{path}.tmp")
        temporary.write_bytes(drawn)
        os.replace(temporary, path)
    except OSError as error:
        raise PlotError(f"{path}: cannot write: {error.strerror}", 4) from None
