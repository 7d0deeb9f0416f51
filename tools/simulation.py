"""Training on a cluster that is not there, for tools/scaling_study: the program's own loop (tools/simulate) under SimGrid's SMPI.

The cluster: a fat tree of 16 nodes to a leaf switch and 8 links from each to the spine, 100 Gb/s and 600 ns a link, 32 ranks to a
node, 20 GB/s within it, and half a microsecond of a core for each message sent and each received. All ranks are in one process.
What a rank computes is measured here, span by span in several steps of one batch, and takes the median (tools/simulate/clock.h).
Messages between two ranks, and those of Alltoallv, are counted on the links that they cross (tools/simulate/network.c), or, up to
some 64 ranks, followed by SimGrid; other collective calls are SimGrid's, as Open MPI's selector has them.
"""
import json
import os
import shutil
import signal
import subprocess

from training import Failure, own_error, run_alone

RANKS_A_NODE = 32
NODES_A_LEAF = 16
# what the loop heeds of a run's settings
SETTINGS = (
    "embedding_size", "train_batch_size", "seed", "neg_exclude", "model", "n_layers", "reg_weight", "require_pow", "type",
    "drop_ratio", "ssl_tau", "ssl_weight", "temperature", "contrast_memory", "reach_share", "learner", "learning_rate",
    "weight_decay",
)  # fmt: skip
OPTIONS = (
    "--log=root.thres:critical", "--cfg=smpi/simulate-computation:no", "--cfg=smpi/host-speed:100Gf",
    "--cfg=smpi/coll-selector:ompi",
)  # fmt: skip
LINK, LATENCY, MEMORY, OVERHEAD = 12.5e9, 600e-9, 20e9, 0.5e-6  # bytes/s, s, bytes/s, s a message
LINKS_UP = 8
NETWORKS = {  # as tools/simulate/network.h has it
    "counted": f"{RANKS_A_NODE},{NODES_A_LEAF},{LINKS_UP},{LINK},{LATENCY},{MEMORY},{OVERHEAD}",
    "simgrid": "simgrid",
}
PLATFORM = """<?xml version='1.0'?>
<!DOCTYPE platform SYSTEM "https://simgrid.org/simgrid.dtd">
<platform version="4.1">
  <cluster id="cluster" prefix="node-" radical="0-{last}" suffix="" speed="100Gf" core="{cores}" bw="{link}Bps" lat="{latency}s"
           loopback_bw="{memory}Bps" loopback_lat="100ns" sharing_policy="SPLITDUPLEX"
           topology="FAT_TREE" topo_parameters="2;{leaf},{leaves};1,{links};1,1"/>
</platform>
"""


def nodes_of(ranks):
    return -(-ranks // RANKS_A_NODE)


def check(options):
    """Failure unless everything is there."""
    folder = options.build.resolve() / "tools/simulate"
    if not shutil.which("smpirun"):
        raise Failure("--simulate: smpirun is not installed (Debian: libsimgrid-dev)")
    for name in ("simulate_loop", "simulate_lists"):
        if not (folder / name).exists():
            raise Failure(f"--simulate: {folder / name} is not there: ninja -C {options.build} simulate")
    return folder


def best_grid(ranks, segments):
    """The program's own choice where memory is no matter: the most slices."""
    columns = max(c for c in range(1, min(ranks, segments) + 1) if ranks % c == 0)
    return f"{ranks // columns}x{columns}"


class Simulation(subprocess.Popen):
    """smpirun is a script: a signal is for what it has started as well, and there is no checkpoint to wait for."""

    def send_signal(self, _):
        os.killpg(self.pid, signal.SIGTERM)


def write_cluster(folder, ranks):
    leaves = -(-nodes_of(ranks) // NODES_A_LEAF)
    last = leaves * NODES_A_LEAF - 1
    platform = PLATFORM.format(
        last=last, cores=RANKS_A_NODE, leaf=NODES_A_LEAF, leaves=leaves, links=LINKS_UP, link=LINK, latency=LATENCY, memory=MEMORY
    )
    (folder / "cluster.xml").write_text(platform, encoding="ascii")
    hosts = "".join(f"node-{rank // RANKS_A_NODE}\n" for rank in range(ranks))
    (folder / "hosts").write_text(hosts, encoding="ascii")


def settings_of(cell, settings):
    return {name: settings[name] for name in SETTINGS} | {"train_batch_size": str(cell.batch)}


def run(options, cell, settings, stop):
    """Simulate a cell; what comes of it is in result.json, or in cell.error."""
    programs, folder = check(options), cell.folder
    folder.mkdir(parents=True, exist_ok=True)
    write_cluster(folder, cell.ranks)
    lists = folder / "lists"
    made = run_alone(options, programs / "simulate_lists", cell.data, lists)
    if made.returncode != 0:
        raise Failure(own_error(made.stderr) or f"simulate_lists ends with {made.returncode}", made.returncode)
    values = settings_of(cell, settings)
    with open(folder / "output.txt", "wb") as output:
        simulation = Simulation(
            ["smpirun", "-np", str(cell.ranks), "-platform", folder / "cluster.xml", "-hostfile", folder / "hosts", *OPTIONS,
             programs / "simulate_loop", lists, cell.grid, str(options.simulate_steps), NETWORKS[cell.network],
             *(f"{name}={value}" for name, value in values.items())],
            env={**options.environment, "OMP_NUM_THREADS": "1", "MALLOC_TRIM_THRESHOLD_": str(2**40)},  # kept for other messages
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=output, text=True, start_new_session=True,
        )  # fmt: skip
        status = stop.wait_for(simulation)
        stop.training = None
    lists.unlink()
    printed = simulation.stdout.read()
    if status == 0 and printed.startswith("{"):
        found = {**json.loads(printed), "settings": values, "data": str(cell.data)}
        (folder / "result.json").write_text(json.dumps(found, indent=1) + "\n", encoding="ascii")
    elif not stop.count:
        cell.error = f"exit status {status}: see {folder / 'output.txt'}"


def read_result(cell, settings):
    """Of a simulation that is done, for the table. Failure if it was one of other settings or data."""
    path = cell.folder / "result.json"
    if not path.exists():
        return
    found = json.loads(path.read_text())
    asked = settings_of(cell, settings)
    differs = [name for name in asked if found["settings"].get(name) != asked[name]]
    if differs or found["data"] != str(cell.data):
        raise Failure(f"{cell.folder.name} has other {differs[0] if differs else 'data'}: choose another --out, or remove it")
    seconds = found["step_seconds"] * found["steps_an_epoch"]
    cell.result = {
        "nodes": nodes_of(cell.ranks), "grid": cell.grid, "threads": 1, "train": found["train"], "epoch_seconds": seconds,
        "samples_per_second": found["train"] / seconds, "mpi_share": found["mpi_share"], "step_bytes": found["step_bytes"],
        "memory": found["held"] / 2**20,
    }  # fmt: skip
