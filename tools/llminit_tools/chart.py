"""Line charts as SVG inside a page: axes, lines in the colours of the page, and words for those who do not see them.

A chart has a box of fixed size that the page scales. Points are few enough in a log by epoch to be written as they are.
"""
from __future__ import annotations

import dataclasses
import math
import sys
from typing import Callable, Iterator, Optional, Sequence, Tuple

from .page import Markup, classes_of, element
from .plot import Axes

WIDTH, HEIGHT = 460, 260
LEFT, RIGHT, TOP, BOTTOM = 58, 12, 10, 42  # margins
N_TICKS = 5
N_DOTS = 16  # a line of more points has no dots
STEPS = (1, 2, 2.5, 5, 10)

Points = Sequence[Tuple[float, float]]


@dataclasses.dataclass
class Line:
    label: str
    points: Points
    number: int  # of its colour
    best: Optional[float] = None  # x of the point that stands out


@dataclasses.dataclass
class Scale:
    """From numbers to places in the box; logarithmic if it says so."""

    low: float
    high: float
    start: float
    end: float
    is_log: bool = False

    def place(self, value: float) -> float:
        transform: Callable[[float], float] = math.log10 if self.is_log else float
        share = (transform(value) - transform(self.low)) / (transform(self.high) - transform(self.low))
        return round(self.start + share * (self.end - self.start), 2)


# ---- Ticks -----------------------------------------------------------------------------------------------------------


def linear_ticks(low: float, high: float, whole: bool = False) -> list[float]:
    """Round numbers from `low` to `high`, about N_TICKS; whole ones if asked for."""
    rough = (high - low) / N_TICKS
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * one for one in STEPS if power * one >= rough * 0.999)
    if whole:
        step = max(1.0, math.ceil(step))
    first = math.ceil(low / step - 1e-9)
    return [k * step for k in range(first, math.floor(high / step + 1e-9) + 1)]


def log_ticks(low: float, high: float) -> list[float]:
    """Powers of ten; over few decades also 2 and 5 times a power, and within one the ticks of a linear scale."""
    decades = math.log10(high) - math.log10(low)
    if decades < 0.8:
        return linear_ticks(low, high)
    exponents = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    every = math.ceil(decades / 10)
    factors = (1, 2, 5) if decades < 2.5 else (1,)
    ticks = [factor * 10.0**k for k in exponents if k % every == 0 for factor in factors]
    return [one for one in ticks if low * 0.999 <= one <= high * 1.001]


def tick_text(value: float) -> str:
    if 1000 <= abs(value) < 1e6:
        return f"{value:,.0f}"
    return f"{value:.5g}".replace("e-0", "e-").replace("e+0", "e")


def scale_of(values: Sequence[float], start: float, end: float, is_log: bool, padding: float) -> Scale:
    """A scale that has all values, with some room beyond them."""
    low, high = min(values), max(values)
    if is_log:
        room = 10 ** (padding * (math.log10(high) - math.log10(low))) if high > low else 2
        return Scale(max(low / room, sys.float_info.min), min(high * room, sys.float_info.max), start,
                     end, True)
    room = (high - low) * padding if high > low else abs(high) * padding or 1.0
    return Scale(low - room, high + room, start, end)


# ---- The chart -------------------------------------------------------------------------------------------------------


def axis_lines(x: Scale, y: Scale, axes: Axes, whole: bool) -> Iterator[Markup]:
    """The grid, the ticks with their numbers, and the name of x."""
    ticks = log_ticks if y.is_log else linear_ticks
    for value in ticks(y.low, y.high):
        place = y.place(value)
        yield element("line", x1=LEFT, y1=place, x2=WIDTH - RIGHT, y2=place, class_="grid")
        yield element("text", tick_text(value), x=LEFT - 8, y=place + 4, text_anchor="end")
    base = HEIGHT - BOTTOM
    yield element("line", x1=LEFT, y1=base, x2=WIDTH - RIGHT, y2=base, class_="axis")
    for value in log_ticks(x.low, x.high) if x.is_log else linear_ticks(x.low, x.high, whole):
        place = x.place(value)
        yield element("line", x1=place, y1=base, x2=place, y2=base + 5, class_="axis")
        yield element("text", tick_text(value), x=place, y=base + 19, text_anchor="middle")
    yield element("text", axes.xlabel, x=(LEFT + WIDTH - RIGHT) / 2, y=HEIGHT - 4, text_anchor="middle")


def line_marks(line: Line, x: Scale, y: Scale, axes: Axes) -> Iterator[Markup]:
    places = [(x.place(one), y.place(other)) for one, other in line.points]
    classes = classes_of(line.number)
    if len(places) > 1:
        yield element("polyline", points=" ".join(f"{one:g},{other:g}" for one, other in places),
                      class_=f"curve {classes}")
    for (one, other), (value_x, value_y) in zip(places, line.points):
        is_best = value_x == line.best
        if is_best or len(places) <= N_DOTS:
            words = element("title", f"{line.label}: {axes.xlabel} {value_x:g}, {axes.ylabel} {value_y:.5g}")
            yield element("g", words, element("circle", cx=one, cy=other, r=4.5 if is_best else 2.8,
                                              class_=f"{'best' if is_best else 'point'} c{line.number % 8}"))


def words_of(line: Line, axes: Axes) -> str:
    """A line for those who do not see it."""
    (first_x, first_y), (last_x, last_y) = line.points[0], line.points[-1]
    if len(line.points) == 1:
        return f"{line.label}: {first_y:.4g} at {axes.xlabel} {first_x:g}."
    best = next((f", {y:.4g} at {x:g}" for x, y in line.points if x == line.best), "")
    return f"{line.label}: {first_y:.4g} at {axes.xlabel} {first_x:g}{best}, {last_y:.4g} at {last_x:g}."


def visible(line: Line, axes: Axes) -> Line:
    """The line without what its scales cannot show."""
    points = [(x, y) for x, y in line.points
              if math.isfinite(y) and (x > 0 or not axes.logx) and (y > 0 or not axes.logy)]
    return dataclasses.replace(line, points=points)


def figure(key: str, lines: Sequence[Line], axes: Axes) -> Optional[Markup]:
    """A chart with its caption; None if there is nothing to draw. `key`: for ids, no other figure has it."""
    shown = [line for line in (visible(one, axes) for one in lines) if line.points]
    if not shown:
        return None
    all_x, all_y = ([point[k] for line in shown for point in line.points] for k in (0, 1))
    x = scale_of(all_x, LEFT, WIDTH - RIGHT, axes.logx, 0.02)
    y = scale_of(all_y, HEIGHT - BOTTOM, TOP, axes.logy, 0.06)
    whole = all(float(one).is_integer() for one in all_x)
    texts = [element("title", axes.title, id=f"{key}-title"),
             element("desc", " ".join(words_of(line, axes) for line in shown), id=f"{key}-words")]
    marks = [mark for line in shown for mark in line_marks(line, x, y, axes)]
    picture = element("svg", texts, list(axis_lines(x, y, axes, whole)), marks, viewBox=f"0 0 {WIDTH} {HEIGHT}",
                      role="img", aria_labelledby=f"{key}-title {key}-words")
    return element("figure", element("figcaption", axes.title), picture)


# ---- Shares ----------------------------------------------------------------------------------------------------------


def share_bar(shares: Sequence[tuple[int, float, str]], title: str) -> Markup:
    """A bar cut into (number of its colour, share, words)."""
    cuts, start = [], 0.0
    for number, share, words in shares:
        cuts.append(element("g", element("title", words), element(
            "rect", x=f"{start * 100:.2f}%", y=0, width=f"{share * 100:.2f}%", height="100%", class_=f"c{number % 8}")))
        start += share
    return element("svg", element("title", title), cuts, role="img", aria_label=title)
