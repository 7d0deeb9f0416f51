"""Trials of a search, what they show, and its tables and plots. Nothing here writes files.

What mattered: the share of the variance of the valid metric that a setting alone explains, over the trials of the first
rung, which all have the same epochs. Trials are put into groups: by value of a choice, or into bins of a number with
about as many trials each. With n trials x in k groups,

    share = 1 - (n - 1) / (n - k) sum_groups sum (x - mean of the group)^2 / sum (x - mean)^2

This is epsilon squared (Kelley 1935, "An unbiased correlation ratio measure", PNAS 21): the correlation ratio without
what k groups explain by chance. Where it is below 0 it is shown as 0.
"""
from __future__ import annotations

import dataclasses
import math
import pathlib
import statistics
from typing import Any, Iterator, Optional, Sequence

from . import compare_table, plot, run, table, tune_space
from .table import number

TABLES = ("models", "trials", "settings")
N_BEST, N_DRAWN = 3, 3  # trials of a model in the table; settings of a model in its plot
SECONDS, MEMORY = "seconds", "memory"
Event = dict[str, Any]


@dataclasses.dataclass
class Trial:
    number: int
    values: tune_space.Values
    folder: pathlib.Path
    error: str = ""  # why this call could not train it
    curve: list[tuple[int, float]] = dataclasses.field(default_factory=list)  # (epoch, valid metric)
    reached: float = 0  # epochs that it was trained for to their end; infinity if more would change nothing
    seconds: float = 0.0  # of training alone
    total: float = 0.0  # also of evaluation
    memory: float = 0.0  # bytes of the largest rank
    test: Optional[float] = None

    def has_reached(self, epochs: int) -> bool:
        """Is there nothing left to do for a rung?"""
        return self.reached >= epochs or bool(self.error)

    def value(self, epochs: float = math.inf) -> Optional[float]:
        """The best valid metric within so many epochs."""
        return max((value for epoch, value in self.curve if epoch <= epochs), default=None) if self.reached else None

    def best_epoch(self) -> Optional[int]:
        return next((epoch for epoch, value in self.curve if value == self.value()), None)

    def read(self, metric: str) -> None:
        """Take what the log says."""
        events = run.read_log(self.folder)
        of = lambda name: [event for event in events if event["event"] == name]  # noqa: E731
        name = metric.lower()
        self.curve = [(event["epoch"], event["metrics"][name]) for event in of("valid")]
        self.reached = max((reached(event) for event in of("end")), default=0)
        self.seconds = math.fsum(event["seconds"] for event in (*of("epoch"), *of("solve")))
        self.total = max((event["seconds"] for event in of("end")), default=0.0)
        self.memory = run.memory_of(events) or 0.0
        self.test = next((event["metrics"][name] for event in reversed(of("test")) if event["best"]), None)


def reached(end: Event) -> float:
    """Epochs, by the event of an end: infinity if it was not for want of epochs."""
    if end["why"] in run.UNFINISHED:
        return 0
    return end["epoch"] if end["why"] == "all epochs done" else math.inf


def best_of(trials: Sequence[Trial], count: int, epochs: float = math.inf) -> list[Trial]:
    """The best by the valid metric within so many epochs; of equal ones the first."""
    found = [trial for trial in trials if trial.value(epochs) is not None]
    return sorted(found, key=lambda trial: (-(trial.value(epochs) or 0), trial.number))[:count]


@dataclasses.dataclass
class Search:
    """The trials of a model."""

    model: str
    metric: str  # valid_metric
    space: tune_space.Space
    rungs: list[int]  # numbers of epochs; [1] of a closed form
    eta: int
    trials: list[Trial]

    def stage(self) -> tuple[int, list[Trial]]:
        """The rung in progress, and its trials that have not reached it; none if the search is done."""
        alive = self.trials
        for k, epochs in enumerate(self.rungs):
            if k > 0:
                alive = best_of(alive, tune_space.n_kept(len(self.trials), self.eta, k), self.rungs[k - 1])
            waiting = [trial for trial in alive if not trial.has_reached(epochs)]
            if waiting:
                return epochs, waiting
        return self.rungs[-1], []

    def chosen(self) -> Optional[Trial]:
        return next(iter(best_of(self.trials, 1)), None)

    def progress(self) -> str:
        n_failed = sum(bool(trial.error) for trial in self.trials)
        n_done = sum(trial.value() is not None for trial in self.trials)
        return f"{n_done}/{len(self.trials)}" + (f", {n_failed} failed" if n_failed else "")


# ---- What mattered ---------------------------------------------------------------------------------------------------


@dataclasses.dataclass
class Effect:
    """A setting of a model."""

    search: Search
    name: str
    points: list[tuple[str, float]]  # (value of the setting, valid metric after the first rung)
    share: Optional[float]


def groups_of(domain: tune_space.Domain, values: Sequence[str]) -> list[float]:
    """The group of each value."""
    positions = [tune_space.position(domain, value) for value in values]
    if isinstance(domain, tune_space.Choice):
        return positions
    ascending, n_bins = sorted(positions), 3 if len(positions) >= 9 else 2
    bounds = [ascending[k * len(ascending) // n_bins] for k in range(1, n_bins)] if ascending else []
    return [sum(one >= bound for bound in bounds) for one in positions]


def share_explained(groups: Sequence[float], values: Sequence[float]) -> Optional[float]:
    """Epsilon squared, at least 0; None where there are too few values, or all are equal."""
    of_group: dict[float, list[float]] = {}
    for group, value in zip(groups, values):
        of_group.setdefault(group, []).append(value)
    n, k = len(values), len(of_group)
    if k < 2 or n < 2 * k or min(values) == max(values):
        return None
    within = math.fsum((x - statistics.fmean(some)) ** 2 for some in of_group.values() for x in some)
    total = math.fsum((x - statistics.fmean(values)) ** 2 for x in values)
    return max(0.0, 1 - (n - 1) / (n - k) * within / total)


def effects_of(search: Search) -> list[Effect]:
    """All settings that are searched, the most important first."""
    found = []
    for name, domain in search.space.items():
        if isinstance(domain, tune_space.Choice) and len(domain.values) == 1:
            continue
        points = [(trial.values[name], value) for trial in search.trials
                  if (value := trial.value(search.rungs[0])) is not None]
        groups = groups_of(domain, [value for value, _ in points])
        found.append(Effect(search, name, points, share_explained(groups, [value for _, value in points])))
    return sorted(found, key=lambda effect: -1 if effect.share is None else effect.share, reverse=True)


# ---- Which model -----------------------------------------------------------------------------------------------------


def cost_of(trial: Trial, kind: str) -> float:
    return trial.seconds if kind == SECONDS else trial.memory


def is_on_front(trial: Trial, others: Sequence[Trial], kind: str) -> bool:
    """Is no other at least as good for no more, and better in one of both (Pareto)? Good is the valid metric."""
    mine = (trial.value() or 0, -cost_of(trial, kind))
    pairs = [(other.value() or 0, -cost_of(other, kind)) for other in others]
    return not any(pair != mine and pair[0] >= mine[0] and pair[1] >= mine[1] for pair in pairs)


def fronts_of(searches: Sequence[Search]) -> dict[str, list[str]]:
    """{model: kinds of cost on whose front its chosen trial is}"""
    chosen = {search.model: trial for search in searches if (trial := search.chosen())}
    return {model: [kind for kind in (SECONDS, MEMORY) if is_on_front(trial, list(chosen.values()), kind)]
            for model, trial in chosen.items()}


# ---- Tables ----------------------------------------------------------------------------------------------------------


def described(trial: Trial) -> str:
    return " ".join(f"{name}={value}" for name, value in trial.values.items())


def mebibytes(trial: Trial) -> Optional[float]:
    return trial.memory / 2**20 or None


def model_lines(searches: Sequence[Search]) -> Iterator[list[Any]]:
    """Of each model the chosen trial; numbers as they are."""
    metrics = dict.fromkeys(search.metric for search in searches)
    metric = next(iter(metrics)) if len(metrics) == 1 else "metric"
    yield ["model", "trials", f"valid {metric}", f"test {metric}", "seconds", "MiB", "front", "search s", "run",
           "settings"]
    fronts = fronts_of(searches)
    for search in searches:
        search_seconds = math.fsum(trial.total for trial in search.trials)
        trial = search.chosen()
        if not trial:
            yield [search.model, search.progress(), None, None, None, None, "", search_seconds, "", ""]
            continue
        front = ", ".join(fronts[search.model])
        yield [search.model, search.progress(), trial.value(), trial.test, trial.seconds, mebibytes(trial), front,
               search_seconds, trial.folder.name, described(trial)]


def trial_lines(searches: Sequence[Search], count: Optional[int]) -> Iterator[list[Any]]:
    """The `count` best trials of each model; None: all, in the order of their numbers."""
    yield ["model", "trial", "epochs", "best epoch", "valid", "seconds", "MiB", "settings", "error"]
    for search in searches:
        for trial in search.trials if count is None else best_of(search.trials, count):
            closed = compare_table.is_closed(search.model)
            epochs = None if closed else max((epoch for epoch, _ in trial.curve), default=None)
            best_epoch = None if closed else trial.best_epoch()
            yield [search.model, trial.number, epochs, best_epoch, trial.value(), trial.seconds, mebibytes(trial),
                   described(trial), trial.error]


def effect_lines(searches: Sequence[Search]) -> Iterator[list[Any]]:
    yield ["model", "setting", "searched", "trials", "share", "chosen"]
    for search in searches:
        trial = search.chosen()
        for effect in effects_of(search) if trial else ():
            yield [search.model, effect.name, str(search.space[effect.name]), len(effect.points), effect.share,
                   trial.values[effect.name] if trial else ""]


DIGITS = {"seconds": 2, "MiB": 0, "search s": 1, "share": 2, "epochs": 0, "best epoch": 0, "trial": 0}


def texts_of(lines: Sequence[list[Any]]) -> tuple[list[list[str]], list[int]]:
    """The lines as texts, and the columns of numbers."""
    header, *rows = lines
    right = [k for k, name in enumerate(header) if name in DIGITS or name.startswith(("valid", "test"))]
    texts = [[number(field, DIGITS.get(name, 4)) if k in right else str(field)
              for k, (name, field) in enumerate(zip(header, row))] for row in rows]
    return [header, *texts], right


def all_tables(searches: Sequence[Search]) -> dict[str, str]:
    """{name of the file: text}; trials.tsv has all trials."""
    tables = {}
    for name, found in zip(TABLES, (model_lines(searches), trial_lines(searches, N_BEST), effect_lines(searches))):
        lines = list(found)
        texts, right = texts_of(lines)
        tables[f"{name}.txt"] = table.text(texts, right)
        tables[f"{name}.md"] = table.markdown(texts, right)
        tables[f"{name}.tsv"] = table.tsv(lines)
    return tables | {"trials.tsv": table.tsv(trial_lines(searches, None))}


# ---- Plots -----------------------------------------------------------------------------------------------------------


def quality_plot(searches: Sequence[Search]) -> tuple[list[plot.Series], plot.Axes]:
    """The valid metric over the seconds of all trials, and a line through the models on the front."""
    fronts = fronts_of(searches)
    points = [(trial.seconds, trial.value() or 0.0) for search in searches
              if (trial := search.chosen()) and SECONDS in fronts[search.model]]
    series = [plot.Series(search.model, [(trial.seconds, trial.value()) for trial in search.trials], "points")
              for search in searches]
    metric = searches[0].metric
    return ([*series, plot.Series("front", sorted(points), "lines")],
            plot.Axes(f"{metric} of the valid part over seconds of training", "seconds", metric, logx=True))


def effect_panels(search: Search) -> list[plot.Panel]:
    """The valid metric over each of the most important settings."""
    panels = []
    for effect in effects_of(search)[:N_DRAWN]:
        domain = search.space[effect.name]
        points = [(tune_space.position(domain, value), metric) for value, metric in effect.points]
        words = ", ".join(f"{k} {word}" for k, word in enumerate(tune_space.words_of(domain), 1))
        label = f"{effect.name}: {words}" if words else effect.name
        axes = plot.Axes(f"{search.model}: {effect.name} explains {number(effect.share, 2)} of the variance", label,
                         search.metric, logx=isinstance(domain, tune_space.Range) and domain.log)
        if effect.share is not None:
            panels.append(plot.Panel([plot.Series("trials", points, "points")], axes))
    return panels
