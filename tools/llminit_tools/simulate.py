"""Training on a cluster that does not exist: the program's own loop (tools/simulate) under SimGrid's SMPI.

The cluster is a fat tree of 16 nodes to a leaf switch and 8 links from each leaf to the spine, 100 Gb/s and 600 ns
a link, 32 cores to a node, 20 GB/s within it, and half a microsecond of a core for each message sent and each
received. A rank of T threads has T cores: with 32 a rank is a node. All ranks are in one process. The computing of a
rank is measured here on one core, interval by interval in several steps of one batch; the simulation uses the median
and divides it among the rank's cores, as far as caches and memory of the node serve them (tools/simulate/clock.h).
Messages between two ranks, and
those of Alltoallv, are counted on the links that they cross (tools/simulate/network.c), or, up to about 64 ranks,
followed by SimGrid; other collective calls are SimGrid's, as Open MPI's selector has them.
"""
from __future__ import annotations

import argparse
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
from typing import Any

from . import options as opt, program
from .program import Failure, Word
from .run import Stop, write_file
from .scaling_table import Cell

CORES_A_NODE = 32
NODES_A_LEAF = 16
LINKS_UP = 8
LINK, LATENCY, MEMORY, OVERHEAD = 12.5e9, 600e-9, 20e9, 0.5e-6  # bytes/s, s, bytes/s, s a message
# of a core the part that a thread beside others is worth; s that threads take to end a loop and begin another; bytes of
# a node's caches; bytes/s of a node's memory, and what one core alone draws from it in sums over rows
EFFICIENCY, JOIN, CACHE, NODE_BANDWIDTH, CORE_BANDWIDTH = 0.85, 3e-6, 128 * 2**20, 250e9, 15e9
# the settings of a run that the loop uses
SETTINGS = """
embedding_size train_batch_size seed neg_exclude neg_distribution neg_sample_num model n_layers propagate reg_weight
require_pow type drop_ratio ssl_tau ssl_weight temperature alpha0 nu item_prior prior_reg_weight
interaction_weights contrast_memory reach_share field_precision init init_std
learner learning_rate weight_decay start_decay freeze_items
""".split()
SMPI_OPTIONS = """
--log=root.thres:critical --cfg=smpi/simulate-computation:no --cfg=smpi/host-speed:100Gf --cfg=smpi/coll-selector:ompi
""".split()
PLATFORM = """<?xml version='1.0'?>
<!DOCTYPE platform SYSTEM "https://simgrid.org/simgrid.dtd">
<platform version="4.1">
  <cluster id="cluster" prefix="node-" radical="0-{last}" suffix="" speed="100Gf" core="{cores}" bw="{link}Bps"
           lat="{latency}s" loopback_bw="{memory}Bps" loopback_lat="100ns" sharing_policy="SPLITDUPLEX"
           topology="FAT_TREE" topo_parameters="2;{leaf},{leaves};1,{links};1,1"/>
</platform>
"""


class Options(opt.Training):
    simulate_steps: int
    resolved: dict[str, Any]  # the settings of the study, as train would use them


def ranks_a_node(threads: int) -> int:
    return CORES_A_NODE // threads


def nodes_of(cell: Cell) -> int:
    return -(-cell.ranks // ranks_a_node(cell.threads))


def ranks_and_threads(text: str) -> list[tuple[int, int]]:
    """[(ranks, threads)] of N[xTHREADS],...: ascending in cores."""
    words = re.findall(r"([1-9]\d*)(?:x([1-9]\d*))?(?:,|$)", text)
    found = [(int(ranks), int(threads or 1)) for ranks, threads in words]
    cores = [ranks * threads for ranks, threads in found]
    if not re.fullmatch(r"[\dx,]+", text) or len(found) != text.count(",") + 1 \
            or sorted(cores) != cores or len(set(found)) < len(found):
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of ranks or ranks x threads, as 1,1x32,2x32")
    if any(CORES_A_NODE % threads for _, threads in found):
        raise argparse.ArgumentTypeError(f"{text!r}: threads must divide the {CORES_A_NODE} cores of a node")
    return found


def network_of(cell: Cell) -> str:
    """As tools/simulate/network.h reads it."""
    if cell.network == "simgrid":
        return "simgrid"
    return f"{ranks_a_node(cell.threads)},{NODES_A_LEAF},{LINKS_UP},{LINK},{LATENCY},{MEMORY},{OVERHEAD}"


def cores_of(cell: Cell) -> str:
    """As tools/simulate/clock.h reads it: the share of its node that a rank has."""
    beside = min(cell.ranks, ranks_a_node(cell.threads))
    efficiency, join = (EFFICIENCY, JOIN) if cell.threads > 1 else (1.0, 0.0)
    return (f"{cell.threads},{efficiency},{join},{CACHE // ranks_a_node(cell.threads)},"
            f"{NODE_BANDWIDTH / beside},{CORE_BANDWIDTH}")


def programs(build: pathlib.Path) -> pathlib.Path:
    """The folder of the simulator's programs. Failure unless all of them are there."""
    folder = build.resolve() / "tools/simulate"
    if not shutil.which("smpirun"):
        raise Failure("--simulate: smpirun is not installed (Debian: libsimgrid-dev)")
    for name in ("simulate_loop", "simulate_lists", "simulate_grid"):
        if not (folder / name).exists():
            raise Failure(f"--simulate: {folder / name} does not exist: ninja -C {build} simulate")
    return folder


def best_grid(options: Options, data: pathlib.Path, ranks: int, threads: int, batch: int) -> str:
    """The program's own choice if memory is no limit."""
    nodes = -(-ranks // ranks_a_node(threads))
    settings = [*(f"{name}={options.resolved[name]}" for name in SETTINGS), f"train_batch_size={batch}"]
    return program.answer_of([programs(options.build) / "simulate_grid", data, str(ranks), str(nodes), *settings],
                             {**options.program.env, "OMP_NUM_THREADS": str(threads)}).strip()


class Simulation(subprocess.Popen):  # type: ignore[type-arg]
    """smpirun is a script, so a signal goes to its children too. There is no checkpoint to wait for."""

    def send_signal(self, _: int) -> None:
        os.killpg(self.pid, signal.SIGTERM)


def write_cluster(cell: Cell) -> None:
    leaves = -(-nodes_of(cell) // NODES_A_LEAF)
    platform = PLATFORM.format(
        last=leaves * NODES_A_LEAF - 1, cores=CORES_A_NODE, leaf=NODES_A_LEAF, leaves=leaves,
        links=LINKS_UP, link=LINK, latency=LATENCY, memory=MEMORY,
    )
    (cell.folder / "cluster.xml").write_text(platform, encoding="ascii")
    hosts = "".join(f"node-{rank // ranks_a_node(cell.threads)}\n" for rank in range(cell.ranks))
    (cell.folder / "hosts").write_text(hosts, encoding="ascii")


def settings_of(cell: Cell, settings: dict[str, Any]) -> dict[str, Any]:
    return {**{name: settings[name] for name in SETTINGS}, "train_batch_size": str(cell.batch)}


def command(options: Options, cell: Cell, lists: pathlib.Path) -> list[Word]:
    settings = settings_of(cell, options.resolved)
    return [
        "smpirun", "-np", str(cell.ranks), "-platform", cell.folder / "cluster.xml", "-hostfile", cell.folder / "hosts",
        *SMPI_OPTIONS, programs(options.build) / "simulate_loop", lists, cell.grid, str(options.simulate_steps),
        cores_of(cell), network_of(cell), f"ranks_a_node={ranks_a_node(cell.threads)}",
        *(f"{name}={value}" for name, value in settings.items()),
    ]


def run(options: Options, cell: Cell, stop: Stop) -> None:
    """Simulate a cell; its result is in result.json, or else cell.error says why not."""
    folder = cell.folder
    folder.mkdir(parents=True, exist_ok=True)
    write_cluster(cell)
    lists = folder / "lists"
    env = options.program.env
    program.answer_of([programs(options.build) / "simulate_lists", cell.data, lists], env)
    with open(folder / "output.txt", "wb") as output:
        simulation = Simulation(
            command(options, cell, lists),
            env={**env, "OMP_NUM_THREADS": "1", "MALLOC_TRIM_THRESHOLD_": str(2**40)},  # keep memory for later messages
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=output, text=True, start_new_session=True,
        )
        status = stop.wait_for(simulation)
    lists.unlink()
    assert simulation.stdout
    printed = simulation.stdout.read()
    if status == 0 and printed.startswith("{"):
        found = {**json.loads(printed), "settings": settings_of(cell, options.resolved), "data": str(cell.data)}
        write_file(folder / "result.json", json.dumps(found, indent=1) + "\n")
    elif not stop.count:
        cell.error = program.error_of_run(status, folder / "output.txt")


def read_result(cell: Cell, settings: dict[str, Any]) -> None:
    """Take the result of a finished simulation. Failure if it has other settings or data."""
    path = cell.folder / "result.json"
    if not path.exists():
        return
    found = json.loads(path.read_text(encoding="ascii"))
    asked = settings_of(cell, settings)
    differs = [name for name in asked if found["settings"].get(name) != asked[name]]
    if differs or found["data"] != str(cell.data):
        other = differs[0] if differs else "data"
        raise Failure(f"{cell.folder.name} has other {other}: choose another --out, or remove it")
    seconds = found["step_seconds"] * found["steps_an_epoch"]
    cell.result = {
        "nodes": nodes_of(cell),
        "grid": cell.grid,
        "threads": cell.threads,
        "train": found["train"],
        "epoch_seconds": seconds,
        "samples_per_second": found["train"] / seconds,
        "mpi_share": found["mpi_share"],
        "step_bytes": found["step_bytes"],
        "memory": found["held"] / 2**20,
    }
