"""The paired bootstrap over users: how sure is the difference of a metric between two runs?

From the files of `llminit evaluate --per-user` (user_id, then a column a metric). Both runs rank for the same users, so
users are drawn with replacement, as many as there are, and the mean of their differences is taken, RESAMPLES times. All
metrics and runs see the same draws, so that their lines can be compared.

    interval  the 2.5% and 97.5% quantiles of these means, linear between neighbours
    p         the fraction of means that lie as far from the difference as the difference from 0: (1 + count) /
              (1 + RESAMPLES), so never 0

Source: Efron and Tibshirani 1993, An Introduction to the Bootstrap, sections 13.3 and 16.4. Draws are those of Python's
Mersenne Twister, sums are exact: the same numbers everywhere. The tests compare with NumPy.
"""
from __future__ import annotations

import dataclasses
import math
import operator
import pathlib
import random
from typing import Optional, Sequence

from . import table
from .program import Failure

RESAMPLES, SEED = 1000, 2020
CONFIDENCE = 0.95


@dataclasses.dataclass(frozen=True)
class Users:
    """A file of --per-user."""

    ids: list[str]
    values: dict[str, list[float]]  # {"ndcg@10": one for each user}


@dataclasses.dataclass(frozen=True)
class Difference:
    mean: float
    low: float
    high: float
    p: float


@dataclasses.dataclass(frozen=True)
class Line:
    """A difference in the table: of `row` over `base`, each by the words that name it, as (model, start)."""

    row: Sequence[str]
    base: Sequence[str]
    metric: str
    n_users: int
    difference: Difference


def read_users(path: pathlib.Path) -> Users:
    header, *lines = [line.split("\t") for line in path.read_text(encoding="utf-8").split("\n")[:-1]] or [[""]]
    if header[0] != "user_id" or any(len(line) != len(header) for line in lines):
        raise Failure(f"{path}: expected columns user_id and metrics, as llminit evaluate --per-user writes them")
    try:
        columns = [[float(line[k]) for line in lines] for k in range(1, len(header))]
    except ValueError as error:
        raise Failure(f"{path}: {error}") from None
    return Users([line[0] for line in lines], dict(zip(header[1:], columns)))


def mean_users(runs: Sequence[Users], metric: str) -> list[float]:
    """A metric of each user, the mean over runs of several seeds."""
    return [math.fsum(values) / len(runs) for values in zip(*(one.values[metric] for one in runs))]


def quantile(ascending: Sequence[float], fraction: float) -> float:
    at = fraction * (len(ascending) - 1)
    below = int(at)
    above = min(below + 1, len(ascending) - 1)
    return ascending[below] + (at - below) * (ascending[above] - ascending[below])


def resampled_means(differences: Sequence[Sequence[float]]) -> list[list[float]]:
    """For each list (one number a user) its means over RESAMPLES draws of users, the same draws for all lists."""
    n = len(differences[0])
    draw = random.Random(SEED).random
    means: list[list[float]] = [[] for _ in differences]
    for _ in range(RESAMPLES):
        pick = operator.itemgetter(*[int(n * draw()) for _ in range(n)])
        for own, values in zip(means, differences):
            own.append(math.fsum(pick(values)) / n)
    return means


def measure(values: Sequence[float], means: Sequence[float]) -> Difference:
    """Of the users' differences and their resampled means."""
    mean, ascending = math.fsum(values) / len(values), sorted(means)
    n_far = sum(abs(one - mean) >= abs(mean) for one in means)
    tail = (1 - CONFIDENCE) / 2
    return Difference(mean, quantile(ascending, tail), quantile(ascending, 1 - tail), (1 + n_far) / (1 + len(means)))


def differences(pairs: Sequence[tuple[Sequence[float], Sequence[float]]]) -> list[Difference]:
    """Of each pair (a run's values by user, the baseline's); all pairs are of the same users, at least two."""
    of_users = [[mine - other for mine, other in zip(*pair)] for pair in pairs]
    return [measure(values, means) for values, means in zip(of_users, resampled_means(of_users))] if pairs else []


# ---- Tables ----------------------------------------------------------------------------------------------------------


def fields(line: Line, digits: Optional[int]) -> list[str]:
    """`digits`: decimal places of a difference; None: all."""
    found = line.difference
    numbers = [found.mean, found.low, found.high]
    texts = [repr(one) if digits is None else f"{one:+.{digits}f}" for one in numbers]
    return [*line.row, " ".join(line.base), line.metric, str(line.n_users), *texts,
            repr(found.p) if digits is None else f"{found.p:.3f}"]


def all_tables(lines: Sequence[Line], names: Sequence[str] = ("model", "start")) -> dict[str, str]:
    """{name of the file: text}. `names`: of the words in Line.row."""
    words = [*names, "over", "metric", "users", "difference", "low", "high", "p"]
    shown = [words, *(fields(line, 4) for line in lines)]
    right = table.right_from(len(names) + 2, shown)
    return {
        "differences.txt": table.text(shown, right),
        "differences.md": table.markdown(shown, right),
        "differences.tsv": table.tsv([words, *(fields(line, None) for line in lines)]),
    }
