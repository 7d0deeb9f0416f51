#!/usr/bin/python3
"""Seconds of an epoch of LightGCN in PyTorch, to compare with `tools/bench/epoch`: same data, batch and mathematics.

The adjacency is a sparse matrix in COO form, and every batch propagates the whole tables through it, as LightGCN of
RecBole and of the LLMInit authors does. Negatives are drawn all at once, which costs next to nothing. Needs PyTorch and
h5py (Debian: python3-torch, python3-h5py).

PyTorch frees the memory of a step's tables and allocates it again. Where that is slow (virtual machines) it is fairer
to let the C library keep it:
MALLOC_MMAP_THRESHOLD_=33554432 MALLOC_TOP_PAD_=536870912 MALLOC_TRIM_THRESHOLD_=4294967296.

    python3 tools/bench/pytorch_epoch.py DATA.h5 [--size 128] [--layers 2] [--batch 2048] [--epochs 3] [--threads 1]
"""
from __future__ import annotations

import argparse
import dataclasses
import json
import statistics
import time


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    for name, default in (("size", 128), ("layers", 2), ("batch", 2048), ("epochs", 3), ("threads", 1)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--max-batches", type=int, default=0, help="batches to time of an epoch, scaled up; 0: all")
    return parser.parse_args()


options = parse()  # first: --help needs none of the modules below
import h5py  # noqa: E402
import numpy  # noqa: E402
import torch  # noqa: E402


@dataclasses.dataclass
class Data:
    users: numpy.ndarray  # of each interaction
    items: numpy.ndarray
    n_users: int
    n_items: int


def read(path: str) -> Data:
    with h5py.File(path) as file:
        items = file["train/item"][:]
        start = file["train/user_ptr"][:]
    users = numpy.repeat(numpy.arange(len(start) - 1), numpy.diff(start))
    return Data(users, items, len(start) - 1, int(items.max()) + 1)


def adjacency(data: Data) -> torch.Tensor:
    """D^-1/2 A D^-1/2 of the bipartite graph, as a coalesced COO tensor."""
    n_rows = data.n_users + data.n_items
    row = numpy.concatenate([data.users, data.items + data.n_users])
    column = numpy.concatenate([data.items + data.n_users, data.users])
    degree = numpy.bincount(row, minlength=n_rows) + 1e-7
    value = (degree[row] ** -0.5 * degree[column] ** -0.5).astype(numpy.float32)
    return torch.sparse_coo_tensor(numpy.stack([row, column]), value, (n_rows, n_rows)).coalesce()


class LightGCN:
    def __init__(self, data: Data, size: int, layers: int):
        self.data, self.layers, self.graph = data, layers, adjacency(data)
        self.table = torch.nn.Parameter(torch.empty(data.n_users + data.n_items, size))
        torch.nn.init.xavier_uniform_(self.table)
        self.optimizer = torch.optim.Adam([self.table], lr=1e-3)

    def step(self, chosen: numpy.ndarray) -> None:
        """One batch: the numbers of its interactions."""
        data, table = self.data, self.table
        user = torch.from_numpy(data.users[chosen])
        positive = torch.from_numpy(data.items[chosen] + data.n_users)
        negative = torch.randint(data.n_users, data.n_users + data.n_items, (len(chosen),))
        layers = [table]
        for _ in range(self.layers):
            layers.append(torch.sparse.mm(self.graph, layers[-1]))
        final = torch.stack(layers, dim=1).mean(dim=1)
        score = (final[user] * final[positive]).sum(1) - (final[user] * final[negative]).sum(1)
        norms = table[user].norm() + table[positive].norm() + table[negative].norm()
        loss = -torch.log(1e-10 + torch.sigmoid(score)).mean() + 1e-5 * norms / len(chosen)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()


def epoch_seconds(model: LightGCN, batch_size: int, max_batches: int) -> float:
    """Of an epoch; with max_batches > 0 scaled up from that many batches."""
    n = len(model.data.items)
    n_batches = -(-n // batch_size)
    timed = min(n_batches, max_batches or n_batches)
    began = time.perf_counter()
    order = torch.randperm(n)
    for batch in range(timed):
        model.step(order[batch * batch_size:(batch + 1) * batch_size].numpy())
    return (time.perf_counter() - began) * n_batches / timed


def main() -> None:
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    model = LightGCN(read(options.data), options.size, options.layers)
    seconds = [epoch_seconds(model, options.batch, options.max_batches) for _ in range(options.epochs)]
    print(json.dumps({
        "benchmark": "epoch", "program": f"PyTorch {torch.__version__}", "threads": options.threads,
        "size": options.size, "layers": options.layers, "batch": options.batch,
        "seconds": round(statistics.median(seconds), 3),
    }))


if __name__ == "__main__":
    main()
