"""Spaces of settings: what a trial may have, how trials are drawn, and what each model is searched in by default.

A space is {setting: domain}. A domain is written as

    A,B,C             one of these values; a value may bring settings of its own after colons: pca:emb_gain=2
    LOW..HIGH         any number between, all alike
    LOW..HIGH:log     any number between, each factor alike

A number is drawn whole where the setting is. The value of a setting is a function of (seed, model, number of the trial,
setting): more trials, or more settings, leave the others as they are.
"""
from __future__ import annotations

import dataclasses
import itertools
import math
import random
import re
from typing import Iterator, Mapping, Union

from .program import Failure

DIGITS = 4  # of a number that is drawn
NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"

STARTS = "False,var,pca,pca:emb_gain=2,pca:emb_gain=4,whiten:emb_norm=1,whiten:emb_norm=2"
ROOTS = ":emb_selection=whiten:whiten_power=0.5"
TEXT_WEIGHTS = ",".join(["0", *(f"{weight}{ROOTS}" for weight in (2, 4, 8, 16))])
BY_STEPS = {"emb_selection": STARTS, "learning_rate": "0.0003..0.01:log"}

# the default space of each model: what src/model/README.md says to tune
SPACES: dict[str, dict[str, str]] = {
    "BPR": {**BY_STEPS},
    "LightGCN": {**BY_STEPS, "n_layers": "1,2,3", "reg_weight": "1e-6..1e-3:log"},
    "SGL": {**BY_STEPS, "ssl_tau": "0.1..0.5:log", "ssl_weight": "0.01..0.5:log", "drop_ratio": "0.05..0.3"},
    "SGCL": {**BY_STEPS, "n_layers": "1,2,3", "temperature": "0.1..0.5:log"},
    "iALS": {"emb_selection": "False", "alpha0": "0.001..0.1:log", "reg_weight": "0.001..0.1:log",
             "prior_reg_weight": "0.3..10:log"},
    "EASE": {"reg_weight": "5..500:log", "item_dropout": "0..0.5", "user_weight": "0..0.5"},
    "L3AE": {"reg_weight": "1..100:log", "distill_weight": "10..300:log", "item_dropout": "0..0.3",
             "user_weight": "0..0.3"},
    "ItemKNN": {"k": "20..500:log", "shrink": "0..100"},
    "Pop": {},
    "ChebyCF": {"filter_flatness": "0.5..20:log", "degree_power": "0..0.5", "ideal_weight": "0..1",
                "text_weight": TEXT_WEIGHTS},
    "GF-CF": {"ideal_weight": "0..1", "text_weight": TEXT_WEIGHTS},
}

# models that are compared where none is named, with all of whose values a trial is made, and settings of their own
GRIDS: dict[str, dict[str, str]] = {
    "Pop": {},
    "ItemKNN": {"k": "20,100,500"},
    "iALS": {"emb_selection": "False", "alpha0": "0.01,0.1", "reg_weight": "0.003,0.03"},
    "ChebyCF": {"filter_flatness": "1.5,10", "degree_power": "0,0.4", "text_weight": f"0,8{ROOTS}"},
    "EASE": {"reg_weight": "5,50,500"},
    "L3AE": {"reg_weight": "5,20", "distill_weight": "20,100"},
    "BPR": {"emb_selection": "False,pca:emb_gain=3", "learning_rate": "0.001,0.003"},
    "LightGCN": {"emb_selection": "False,pca:emb_gain=3", "learning_rate": "0.001,0.003"},
}
GRID_SETS = {
    "iALS": ["epochs=18"],
    "EASE": ["solve_precision=float32"],
    "L3AE": ["solve_precision=float32"],
    "BPR": ["epochs=54", "eval_step=6"],
    "LightGCN": ["epochs=54", "eval_step=6"],
}
OF_VECTORS = ("prior_reg_weight", "text_weight")  # settings without meaning where there are no vectors
NEEDS_VECTORS, OF_ITEM_PAIRS, OF_SINGULAR_VECTORS = ("L3AE",), ("EASE", "L3AE", "ItemKNN"), ("ChebyCF",)
MANY_ITEMS = 50000  # above them, matrices of all pairs of items are not tried unless their models are named
FEW_ROWS = 512  # of users or items: below them, there may be fewer singular vectors than ideal_dim


@dataclasses.dataclass(frozen=True)
class Choice:
    values: tuple[str, ...]

    def draw(self, share: float) -> str:
        return self.values[int(share * len(self.values))]

    def __str__(self) -> str:
        return ",".join(self.values)


@dataclasses.dataclass(frozen=True)
class Range:
    low: float
    high: float
    log: bool = False
    whole: bool = False

    def draw(self, share: float) -> str:
        """The number below which lies this share of the range."""
        low, high = self.low, self.high + 1 if self.whole else self.high
        value = low * (high / low) ** share if self.log else low + (high - low) * share
        return str(min(int(value), int(self.high))) if self.whole else f"{value:.{DIGITS}g}"

    def __str__(self) -> str:
        return f"{self.low:g}..{self.high:g}" + (":log" if self.log else "")


Domain = Union[Choice, Range]
Space = Mapping[str, Domain]
Values = dict[str, str]  # of a trial: {setting: value}


def domain_of(name: str, text: str, whole: bool = False) -> Domain:
    """Read a domain. `whole`: the setting takes whole numbers."""
    match = re.fullmatch(rf"({NUMBER})\.\.({NUMBER})(:log)?", text)
    if not match:
        values = tuple(text.split(","))
        if ".." in text or "" in values or len(set(values)) < len(values):
            raise Failure(f"{name}={text}: expected LOW..HIGH, LOW..HIGH:log, or different values, as A,B")
        return Choice(values)
    low, high = float(match[1]), float(match[2])
    if not low < high or (match[3] and low <= 0):
        raise Failure(f"{name}={text}: expected LOW below HIGH{', and above 0' if match[3] else ''}")
    if whole and (low % 1 or high % 1):
        raise Failure(f"{name}={text}: expected whole numbers")
    return Range(low, high, bool(match[3]), whole)


def space_of(texts: Mapping[str, str], kinds: Mapping[str, str]) -> Space:
    """`kinds`: {setting: kind}, of all that there are."""
    for name in texts:
        if name not in kinds:
            raise Failure(f"--space {name}={texts[name]}: there is no setting {name}")
    return {name: domain_of(name, text, kinds[name] == "int") for name, text in texts.items()}


def compared(n_users: int, n_items: int, dim: int) -> list[str]:
    """The models of the grids that suit a dataset. `dim`: of its vectors, 0 without."""
    left_out = [*(() if dim else NEEDS_VECTORS), *(OF_ITEM_PAIRS if n_items > MANY_ITEMS else ()),
                *(OF_SINGULAR_VECTORS if min(n_users, n_items) < FEW_ROWS else ())]
    return [model for model in GRIDS if model not in left_out]


def drawn(space: Space, seed: int, model: str, number: int) -> Values:
    """Of one trial of a random search."""
    return {name: domain.draw(random.Random(f"{seed} {model} {number} {name}").random())
            for name, domain in space.items()}


def grid_of(space: Space) -> Iterator[Values]:
    """All combinations; the space has choices alone."""
    names = list(space)
    for values in itertools.product(*(str(domain).split(",") for domain in space.values())):
        yield dict(zip(names, values))


def sets_of(values: Values) -> list[str]:
    """NAME=VALUE of each, with the settings that values bring along."""
    return [one for name, value in values.items() for one in f"{name}={value}".split(":")]


def words_of(domain: Domain) -> tuple[str, ...]:
    """The values of a choice that are not all numbers."""
    is_numeric = isinstance(domain, Range) or all(re.fullmatch(NUMBER, value) for value in domain.values)
    return () if is_numeric else domain.values


def position(domain: Domain, value: str) -> float:
    """Where a value lies on an axis: a number is itself, a word its place among the choices, from 1."""
    words = words_of(domain)
    return 1.0 + words.index(value) if words else float(value)


# ---- Successive halving ----------------------------------------------------------------------------------------------


def rungs_of(epochs: int, eta: int, first: int, step: int) -> list[int]:
    """Numbers of epochs, ascending to `epochs`: each about `eta` times the one before, none below `first`, and all but
    the last multiples of `step`, so that they are evaluated."""
    rungs = [epochs]
    while eta > 1 and epochs / eta ** len(rungs) >= first:
        rungs.append(math.ceil(epochs / eta ** len(rungs) / step) * step)
    return sorted({min(rung, epochs) for rung in rungs})


def n_kept(n_trials: int, eta: int, rung: int) -> int:
    """How many trials go beyond the first `rung` rungs."""
    return max(1, math.ceil(n_trials / eta ** rung))
