"""Search the settings of models, or find the model for a dataset: everything is chosen by the valid part.

    tools/study tune DATA.h5 --out FOLDER                            which model for my data?
    tools/study tune DATA.h5 --out FOLDER --models M,... [OPTION...] the best settings of these models
    tools/study tune data.h5 --out run/tune --models LightGCN,iALS --set epochs=81 --set valid_metric=NDCG@10

Without --models all of a small grid of settings is tried, of each of a short list of models. L3AE takes part where
there are vectors; EASE, L3AE and ItemKNN, whose matrices have all pairs of items, up to 50,000 items; ChebyCF from 512
users and items.

With --models each is searched by --trials at random (Bergstra and Bengio 2012). What is searched is below, without
settings that --set or the model itself (LightGCN:n_layers=3) says. --space changes a range or adds one:

    A,B,C             one of these values; one may bring settings of its own: emb_selection=False,pca:emb_gain=2
    LOW..HIGH         any number between, all alike
    LOW..HIGH:log     any number between, each factor alike

A trial is a function of --seed, model and number: more --trials keep those that are done. Settings are applied in
this order, and the last one counts: --settings, those of a grid, --set, the model's, the trial's. The best trial is
the one with the best `valid_metric` at its best epoch.

Models with epochs are searched by successive halving (Jamieson and Talwalkar 2016, Li et al. 2018). --halving
ETA:FIRST has rungs of epochs/ETA^k epochs, down to FIRST (default: a part in ETA^2 of the setting `epochs`). All trials
are trained to the first rung. The best 1/ETA of all go on to the next, from their checkpoints, and so on; the bits
are those of a training in one go. --halving 1 trains all trials to the end.

Three tables go to stdout:

    models    the best trial of each model: valid_metric of the valid and the test part, seconds of training without
              evaluation, memory of the largest rank, and the costs on whose front (Pareto) it is: no other model
              has a valid metric at least as good for less of it. `search s`: seconds of all trials
    trials    the three best trials of each model
    settings  what mattered: the share of the variance of the valid metric after the first rung that the setting
              alone explains (epsilon squared, Kelley 1935; numbers in three bins)

The program measures the test part when a training ends; the tables have it of the chosen trials alone.

The same command continues after any interruption: it keeps finished trials, resumes unfinished ones, and tries
failed ones again. It refuses trials of other settings or data. Several calls may share the work: with --part K/N each
of N calls takes trials that no other one has at work, and waits for those that decide which go on. --table-only
trains nothing.

FOLDER has models.txt, trials.txt, settings.txt, each also as .md and .tsv (trials.tsv has all trials), a folder for
each trial, and, if gnuplot is installed, quality.svg and quality.txt, the valid metric over the seconds of training,
and settings-MODEL.svg, over the most important settings. Of closed forms only the best trial keeps its model.

Exit status: 0 done; 1 a trial failed (the others were trained); 2 usage, or a folder of other settings; 75 stopped
by a signal, the same command continues.
"""
from __future__ import annotations

import argparse
import contextlib
import pathlib
import re
import time
from typing import Any, Optional, Sequence

from . import compare, options as opt, plot, program, run, tune_space, tune_table
from .compare_table import is_closed
from .program import FAILED, FORMAT, STOPPED, Failure, Word, say
from .tune_table import Search, Trial

RESERVED = {"model": "--models"}
NOT_SEARCHED = ("model", "epochs", "eval_step", "topk", "valid_metric")
POLL = 2  # seconds between looks at what other calls have done
N_TRIALS, SEED, ETA = 16, 1, 3


# ---- Options ---------------------------------------------------------------------------------------------------------


class Options(compare.Options):
    models: list[str]  # none: the grids
    space: list[tuple[str, str, str]]  # (model, or "" for all; setting; domain)
    trials: Optional[int]
    seed: Optional[int]
    halving: tuple[int, Optional[int]]  # ETA, epochs of the first rung


def spaces_in_words() -> str:
    """The default spaces and the grids, for --help."""
    lines = []
    for title, spaces, sets in (("What is searched, by model:", tune_space.SPACES, {}),
                                ("What is tried without --models:", tune_space.GRIDS, tune_space.GRID_SETS)):
        lines += ["", title, ""]
        for model, texts in spaces.items():
            words = [f"{name}={text}" for name, text in texts.items()] + sets.get(model, [])
            lines.append(f"    {model.ljust(9)} {' '.join(words)}".rstrip())
    return "\n".join(lines)


def space(text: str) -> tuple[str, str, str]:
    """(model, setting, domain) of [MODEL:]NAME=DOMAIN"""
    match = re.fullmatch(r"(?:([^:=]+):)?([^:=]+)=(.+)", text)
    if not match:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUES or MODEL:NAME=VALUES")
    if match[2] in NOT_SEARCHED:
        raise argparse.ArgumentTypeError(f"{text!r}: {match[2]} is not searched")
    return match[1] or "", match[2], match[3]


def halving(text: str) -> tuple[int, Optional[int]]:
    match = re.fullmatch(r"([1-9]\d*)(?::([1-9]\d*))?", text)
    if not match:
        raise argparse.ArgumentTypeError(f"{text!r} is not ETA or ETA:FIRST, whole numbers from 1")
    return int(match[1]), int(match[2]) if match[2] else None


def add_options(parser: opt.Parser) -> None:
    add = parser.add_argument
    add("data", metavar="DATA.h5", type=pathlib.Path, help="the dataset, from llminit prepare")
    add("--models", metavar="M,...", type=opt.variants_but(RESERVED), default=[], help="default: the grids above")
    add("--space", metavar="[MODEL:]NAME=VALUES", type=space, action="append", default=[], help="may be repeated")
    add("--trials", metavar="N", type=opt.positive, help=f"of each model; default: {N_TRIALS}")
    add("--seed", metavar="S", type=opt.positive, help=f"of the trials, not of a training; default: {SEED}")
    add("--halving", metavar="ETA[:FIRST]", type=halving, default=(ETA, None), help=f"default: {ETA}")
    add("--ranks", metavar="N", type=opt.positive, default=1, help="processes of a training; default: 1")
    add("--part", metavar="K/N", type=compare.part, default=(1, 1), help="share the trials with N - 1 other calls")
    add("--table-only", action="store_true", help="train nothing")
    opt.add_training(parser, RESERVED, threads="cores / ranks", launch="mpirun -n RANKS")


def parse(name: str, arguments: Sequence[str]) -> Options:
    parser = opt.Parser(name, "DATA.h5 --out FOLDER [OPTION...]", __doc__ + spaces_in_words())
    add_options(parser)
    options = parser.parse_args(arguments, Options())
    for option in ("space", "trials", "seed") if not options.models else ():
        if getattr(options, option):
            raise Failure(f"--{option} needs --models: without it all of a small grid is tried")
    for model, setting, text in options.space:
        if model and model not in options.models:
            raise Failure(f"--space {model}:{setting}={text}: {model} is not one of --models")
    compare.complete(options)
    return options


# ---- Searches --------------------------------------------------------------------------------------------------------


def data_of(options: Options) -> dict[str, Any]:
    """What the dataset's file says of itself."""
    attributes = options.program.ask_json("info", options.data)["attributes"]
    if attributes["kind"] != "dataset":
        raise Failure(f"{options.data} is a {attributes['kind']}, not a dataset", FORMAT)
    if not attributes["n_valid"]:
        raise Failure(f"{options.data} has no valid part: there is nothing to choose by")
    return attributes


def base_sets(options: Options, model: str) -> list[str]:
    """The settings of all trials of a model."""
    name, *own = model.split(":")
    of_grid = [] if options.models else tune_space.GRID_SETS.get(name, [])
    return ["collapse_every=0", *of_grid, *options.set, f"model={name}", *own]


def sets_of(options: Options, search: Search, trial: Trial, epochs: int) -> list[Word]:
    """The --set of a trial, in order."""
    rung = [] if is_closed(search.model) else [f"epochs={epochs}"]
    return opt.as_sets([*base_sets(options, search.model), *tune_space.sets_of(trial.values), *rung])


def texts_of_space(options: Options, model: str, settings: dict[str, Any], dim: int) -> dict[str, str]:
    """The space of a model, or its grid, as it is written. Failure if --space has a setting that is set elsewhere.
    `dim`: of the vectors."""
    texts = dict((tune_space.SPACES if options.models else tune_space.GRIDS).get(model.split(":")[0], {}))
    if "emb_selection" in texts and dim < int(settings["embedding_size"]):
        texts["emb_selection"] = "False"  # no start takes more dimensions than there are
    given = {one.partition("=")[0] for one in [*options.set, *model.split(":")[1:]]}
    meaningless = () if dim else tune_space.OF_VECTORS
    texts = {name: text for name, text in texts.items() if name not in given and name not in meaningless}
    for of_model, name, text in options.space:
        if of_model in ("", model):
            if name in given:
                raise Failure(f"--space {name}={text}: {name} is set to one value")
            texts[name] = text
    return texts


def trials_of(options: Options, model: str, found: tune_space.Space) -> list[Trial]:
    """The trials of a model, without those that have the settings of an earlier one."""
    if options.models:
        seed, count = options.seed or SEED, options.trials or N_TRIALS
        values = [tune_space.drawn(found, seed, model, number) for number in range(1, count + 1)]
    else:
        values = list(tune_space.grid_of(found))
    return [Trial(number, one, options.out / compare.file_name(f"{model}-{number}"))
            for number, one in enumerate(values, 1) if one not in values[: number - 1]]


def rungs_of(options: Options, model: str, settings: dict[str, Any]) -> list[int]:
    if is_closed(model):
        return [1]
    epochs, step = int(settings["epochs"]), int(settings["eval_step"])
    if not 0 < step <= epochs:
        raise Failure(f"{model}: eval_step is {step} and epochs {epochs}: no epoch would be evaluated")
    eta, first = options.halving
    return tune_space.rungs_of(epochs, eta, first or max(1, epochs // eta**2), step)


def plan(options: Options) -> list[Search]:
    data = data_of(options)
    kinds = {row["name"]: row["kind"] for row in options.program.ask_json("settings")["train"]}
    models = options.models or tune_space.compared(data["n_users"], data["n_items"], data["embedding_dim"])
    searches = []
    for model in models:
        settings = options.program.settings([*options.settings_file(), *opt.as_sets(base_sets(options, model))])
        found = tune_space.space_of(texts_of_space(options, model, settings, data["embedding_dim"]), kinds)
        searches.append(Search(model, settings["valid_metric"], found, rungs_of(options, model, settings),
                               options.halving[0], trials_of(options, model, found)))
    return searches


def take_stock(options: Options, searches: Sequence[Search]) -> None:
    """Read what is in the folder already. Failure if a trial has other settings or data."""
    digest = options.program.digest(options.data)
    may_differ = options.program.machine_settings() | {"epochs"}
    for search in searches:
        for trial in search.trials:
            if trial.folder.exists():
                sets = sets_of(options, search, trial, search.rungs[-1])
                settings = options.program.settings([*options.settings_file(), *sets])
                run.refuse_other_run(trial.folder, settings, digest, may_differ)
                trial.read(search.metric)


# ---- Training --------------------------------------------------------------------------------------------------------


def prune(search: Search) -> None:
    """Delete the models of closed forms that are not the best, for each may be large; they are solved in one go."""
    for trial in search.trials if is_closed(search.model) else ():
        if trial.reached and trial is not search.chosen():
            for name in ("latest.h5", "best.h5"):
                (trial.folder / name).unlink(missing_ok=True)


def report(search: Search, trial: Trial, epochs: int) -> None:
    best = search.chosen()
    if trial.error:
        say(f"{trial.folder.name} failed: {trial.error}")
    elif best and trial.has_reached(epochs):
        best_so_far = f" (best so far {best.value():.4f}, {best.folder.name})" if best is not trial else ""
        say(f"{trial.folder.name}: valid {search.metric} {trial.value():.4f}{best_so_far}; {trial.total:.1f} s")


def train(options: Options, search: Search, trial: Trial, epochs: int, stop: run.Stop) -> bool:
    """Train a trial to a rung, unless another call is at it: then False."""
    with contextlib.ExitStack() as stack:
        try:
            lock = stack.enter_context(run.locked(trial.folder / "lock-of-study", patience=0))
        except run.Busy:
            return False
        trial.read(search.metric)
        if trial.has_reached(epochs):
            return True
        verb = "resumes" if (trial.folder / "latest.h5").exists() else "starts"
        until = "" if is_closed(search.model) else f", to epoch {epochs}"
        say(f"{trial.folder.name} {verb}{until}: tail -f {trial.folder}/output.txt")
        status = compare.train_into(options, trial.folder, sets_of(options, search, trial, epochs), stop, lock)
        trial.read(search.metric)
        if not (trial.has_reached(epochs) or stop.count):
            trial.error = program.error_of_run(status, trial.folder / "output.txt")
        report(search, trial, epochs)
        prune(search)
        return True


def work_of(options: Options, searches: Sequence[Search]) -> list[tuple[Search, Trial, int]]:
    """All that can be trained now, with its rung; this call's share first."""
    work = []
    for search in searches:
        epochs, waiting = search.stage()
        work += [(search, trial, epochs) for trial in waiting]
    k, n = options.part
    return work[k - 1::n] + [one for place, one in enumerate(work) if place % n != k - 1]


def train_all(options: Options, searches: Sequence[Search], stop: run.Stop) -> None:
    """Until all searches are done, or a signal comes. What other calls have finished is read before each training."""
    has_told = False
    while not stop.count:
        work = work_of(options, searches)
        if not work:
            return
        if any(train(options, search, trial, epochs, stop) for search, trial, epochs in work):
            write_tables(options, searches)
        else:
            if not has_told:
                say(f"waits for trials of other calls, such as {work[0][1].folder.name}")
            has_told = True
            time.sleep(POLL)
        for search in searches:
            for trial in search.trials:
                trial.read(search.metric)


# ---- Results ---------------------------------------------------------------------------------------------------------


def write_tables(options: Options, searches: Sequence[Search]) -> str:
    """Write all tables; returns those of --format."""
    tables = tune_table.all_tables(searches)
    with run.locked(options.out / "lock-of-tables"):
        for name, text in tables.items():
            run.write_file(options.out / name, text)
    return "\n".join(tables[f"{name}.{options.format}"] for name in tune_table.TABLES)


def draw(options: Options, searches: Sequence[Search]) -> str:
    """Write the plots; returns the one of quality as text. Where a plot cannot be drawn, a line says why."""
    try:
        for search in searches:
            panels = tune_table.effect_panels(search)
            if panels:
                plot.plot_panels(panels, options.out / compare.file_name(f"settings-{search.model}.svg"))
        for suffix in (".svg", ".txt"):
            plot.plot(*tune_table.quality_plot(searches), options.out / f"quality{suffix}")
        return "\n" + (options.out / "quality.txt").read_text(encoding="utf-8")
    except plot.PlotError as error:
        say(f"no plots: {error}")
        return ""


def exit_status(options: Options, searches: Sequence[Search]) -> int:
    """Of this call; a line says what is not done."""
    n_waiting = sum(len(search.stage()[1]) for search in searches)
    if n_waiting and not options.table_only:
        say(f"stopped; {n_waiting} trials of this rung wait: the same command continues")
        return STOPPED
    n_failed = sum(bool(trial.error) for search in searches for trial in search.trials)
    if n_failed:
        say(f"{n_failed} trials failed")
    return FAILED if n_failed else 0


def main(name: str, arguments: Sequence[str]) -> int:
    options = parse(name, arguments)
    stop = run.Stop()
    with compare.alone(options):
        searches = plan(options)
        take_stock(options, searches)
        if not options.table_only:
            train_all(options, searches, stop)
        print(write_tables(options, searches) + draw(options, searches), end="", flush=True)
        return exit_status(options, searches)
