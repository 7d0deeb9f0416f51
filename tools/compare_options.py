"""The options of tools/compare, read and checked."""
import argparse
import os
import pathlib
import re
import shlex

from training import ROOT, Failure, Parser, environment, positive, program_of

METRICS = ("Recall", "NDCG", "MRR", "Hit", "Precision")
SOLVED = ("EASE", "L3AE")  # models without start, seed or epochs
NO_START = "-"
AXES = {"model": "--models", "emb_selection": "--starts", "seed": "--seeds", "topk": "--metrics"}


def listed(text):
    """The comma-separated words of an option: at least one, none twice."""
    words = text.split(",")
    if "" in words or len(set(words)) != len(words):
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of different words, as A,B")
    return words


def seed_list(text):
    if not re.fullmatch(r"\d+(,\d+)*", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of whole numbers, as 2020,2021")
    return [int(word) for word in listed(text)]


def metric_list(text):
    """The metrics as the table names them: Recall@10."""
    spelling = {name.lower(): name for name in METRICS}
    pattern = re.compile(rf"({'|'.join(spelling)})@([1-9]\d*)", re.IGNORECASE)
    matches = [pattern.fullmatch(word) for word in listed(text)]
    if None in matches:
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of {', '.join(METRICS)} at numbers, as NDCG@10")
    return [f"{spelling[match[1].lower()]}@{match[2]}" for match in matches]


def part(text):
    """(K, N) of K/N"""
    match = re.fullmatch(r"([1-9]\d*)/([1-9]\d*)", text)
    if not match or int(match[1]) > int(match[2]):
        raise argparse.ArgumentTypeError(f"{text!r} is not K/N with K from 1 to N")
    return int(match[1]), int(match[2])


def setting(text):
    """NAME=VALUE of --set, or of a model or start."""
    name, is_given, _ = text.partition("=")
    if not name or not is_given:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    if name in AXES:
        raise argparse.ArgumentTypeError(f"{text!r}: that is what {AXES[name]} says")
    return text


def variant_list(text):
    """Models or starts, each with settings of its own after colons."""
    for word in listed(text):
        for own in word.split(":")[1:]:
            setting(own)
    return listed(text)


def is_solved(model):
    return model.split(":")[0] in SOLVED


def parse(arguments, description):
    parser = Parser(
        prog="tools/compare",
        usage="tools/compare DATA.h5 --out FOLDER [OPTION...]",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("data", metavar="DATA.h5", type=pathlib.Path, help="the dataset, from llminit prepare")
    add("--out", metavar="FOLDER", type=pathlib.Path, required=True, help="where runs and tables go")
    add("--models", metavar="M,...", type=variant_list, default=["LightGCN"], help="default: LightGCN")
    add("--starts", metavar="S,...", type=variant_list, default=["False", "var"], help="default: False,var")
    add("--seeds", metavar="N,...", type=seed_list, default=[2020], help="default: 2020")
    add("--settings", metavar="FILE.yaml", type=pathlib.Path, help="settings of all cells, as for llminit train")
    add("--set", metavar="NAME=VALUE", type=setting, action="append", default=[], help="one of them; may be repeated")
    add("--baseline", metavar="START", help="the start that gains are over; default: the first of --starts")
    add("--metrics", metavar="M@K,...", type=metric_list, default=["Recall@10", "Recall@20", "NDCG@10", "NDCG@20"],
        help="default: Recall@10,Recall@20,NDCG@10,NDCG@20")  # fmt: skip
    add("--split", choices=("test", "valid"), default="test", help="the part that the metrics are of; default: test")
    add("--ranks", metavar="N", type=positive, default=1, help="processes of a training; default: 1")
    add("--threads", metavar="N", type=positive, help="of a rank; default: OMP_NUM_THREADS, or cores / ranks")
    add("--launch", metavar="COMMAND", type=shlex.split, help="what starts the ranks; default: mpirun -n RANKS")
    add("--part", metavar="K/N", type=part, default=(1, 1), help="train every N-th cell, from the K-th on")
    add("--table-only", action="store_true", help="train nothing")
    add("--format", choices=("txt", "md", "tsv"), default="txt", help="of the table on stdout; default: txt")
    add("--build", metavar="FOLDER", type=pathlib.Path, default=ROOT / "build", help="where llminit is; default: build")
    options = parser.parse_args(arguments)
    complete(options)
    return options


def complete(options):
    """What follows from the options, and whether they fit together."""
    options.baseline = options.baseline or options.starts[0]
    if options.baseline not in options.starts:
        raise Failure(f"--baseline {options.baseline} is not one of --starts")
    options.program = program_of(options.build)
    for path in filter(None, (options.data, options.settings)):
        if not path.is_file():
            raise Failure(f"{path} is not there")
    cores = len(os.sched_getaffinity(0))
    threads = options.threads or os.environ.get("OMP_NUM_THREADS") or max(1, cores // options.ranks)
    options.environment = environment(options.launch, threads)
