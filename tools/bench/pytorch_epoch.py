#!/usr/bin/python3
"""Seconds of an epoch of LightGCN in PyTorch, for comparison with `tools/bench/epoch`: same data, batch and mathematics.

The adjacency is a sparse matrix in COO form and every batch propagates the whole tables through it, as RecBole's and the
LLMInit authors' LightGCN do; negatives are drawn all at once, which costs next to nothing. Needs PyTorch and h5py
(Debian: python3-torch, python3-h5py).

PyTorch gives the memory of a step's tables back and takes it again; where that is slow (virtual machines) it is fairer to
let the C library keep it: MALLOC_MMAP_THRESHOLD_=33554432 MALLOC_TOP_PAD_=536870912 MALLOC_TRIM_THRESHOLD_=4294967296.

    python3 tools/bench/pytorch_epoch.py DATA.h5 [--size 128] [--layers 2] [--batch 2048] [--epochs 3] [--threads 1]
"""
import argparse
import json
import statistics
import time

import h5py
import numpy
import torch


def adjacency(users, items, n_users, n_items):
    """D^-1/2 A D^-1/2 of the bipartite graph, as a coalesced COO tensor."""
    row = numpy.concatenate([users, items + n_users])
    column = numpy.concatenate([items + n_users, users])
    degree = numpy.bincount(row, minlength=n_users + n_items) + 1e-7
    value = degree[row] ** -0.5 * degree[column] ** -0.5
    return torch.sparse_coo_tensor(numpy.stack([row, column]), value.astype(numpy.float32), (n_users + n_items,) * 2).coalesce()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data")
    for name, default in (("size", 128), ("layers", 2), ("batch", 2048), ("epochs", 3), ("threads", 1)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--max-batches", type=int, default=0, help="time this many batches an epoch and scale up (0: all)")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    with h5py.File(options.data) as file:
        items = file["train/item"][:]
        start = file["train/user_ptr"][:]
    n_users, n_items = len(start) - 1, int(items.max()) + 1
    users = numpy.repeat(numpy.arange(n_users), numpy.diff(start))
    graph = adjacency(users, items, n_users, n_items)
    table = torch.nn.Parameter(torch.empty(n_users + n_items, options.size))
    torch.nn.init.xavier_uniform_(table)
    optimizer = torch.optim.Adam([table], lr=1e-3)
    n_batches = -(-len(items) // options.batch)
    timed = min(n_batches, options.max_batches or n_batches)
    seconds = []
    for _ in range(options.epochs):
        began = time.perf_counter()
        order = torch.randperm(len(items))
        for batch in range(timed):
            chosen = order[batch * options.batch : (batch + 1) * options.batch].numpy()
            user, positive = torch.from_numpy(users[chosen]), torch.from_numpy(items[chosen] + n_users)
            negative = torch.randint(n_users, n_users + n_items, (len(chosen),))
            layers = [table]
            for _ in range(options.layers):
                layers.append(torch.sparse.mm(graph, layers[-1]))
            final = torch.stack(layers, dim=1).mean(dim=1)
            score = (final[user] * final[positive]).sum(1) - (final[user] * final[negative]).sum(1)
            norms = table[user].norm() + table[positive].norm() + table[negative].norm()
            loss = -torch.log(1e-10 + torch.sigmoid(score)).mean() + 1e-5 * norms / len(chosen)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        seconds.append((time.perf_counter() - began) * n_batches / timed)
    print(json.dumps({"benchmark": "epoch", "program": f"PyTorch {torch.__version__}", "threads": options.threads, "size": options.size,
                      "layers": options.layers, "batch": options.batch, "seconds": round(statistics.median(seconds), 3)}))


if __name__ == "__main__":
    main()
