"""Compare the counts of tools/study crossings with plain loops over train.txt, users and items in the order of ids.

    python3 check_crossings.py train.txt N_ITEMS BLOCKS RANKS_A_NODE COUNTS.tsv
"""
from __future__ import annotations

import csv
import pathlib
import sys

ROW_WORK = 4  # of a row itself, in interactions: CF_ROW_WORK


def blocks_of(degrees: list[int], n_blocks: int) -> list[int]:
    """The block of each row: block b begins with the first row that has an even share of the work before it."""
    total = sum(degree + ROW_WORK for degree in degrees)
    starts = [b * (total // n_blocks) + min(b, total % n_blocks) for b in range(n_blocks)]
    found, before = [], 0
    for degree in degrees:
        found.append(sum(start <= before for start in starts) - 1)
        before += degree + ROW_WORK
    return found


def matching_size(edges: dict[int, list[int]]) -> int:
    """Of a bipartite graph {left: [right]}, by one augmenting path after the other."""
    mate: dict[int, int] = {}

    def augment(left: int, seen: set[int]) -> bool:
        for right in edges[left]:
            if right not in seen:
                seen.add(right)
                if right not in mate or augment(mate[right], seen):
                    mate[right] = left
                    return True
        return False

    return sum(augment(left, set()) for left in edges)


def count(pairs: list[tuple[int, int]], n_users: int, n_items: int, nodes: int, per_node: int) -> dict[str, int]:
    degrees = [0] * n_users, [0] * n_items
    for user, item in pairs:
        degrees[0][user] += 1
        degrees[1][item] += 1
    ranks = [blocks_of(of_side, nodes * per_node) for of_side in degrees]
    node = [[rank // per_node for rank in side] for side in ranks]
    across = [(user, item) for user, item in pairs if node[0][user] != node[1][item]]
    per_rank = {("user", user, ranks[1][item]) for user, item in across}
    per_rank |= {("item", item, ranks[0][user]) for user, item in across}
    once = {(side, row, rank // per_node) for side, row, rank in per_rank}
    received = [sum(to == n for _, _, to in once) for n in range(nodes)]
    covers = [0] * nodes
    for a in range(nodes):
        for b in range(nodes):
            edges: dict[int, list[int]] = {}
            for user, item in across:
                if (node[0][user], node[1][item]) == (a, b):
                    edges.setdefault(user, []).append(item)
            size = matching_size(edges)
            covers[a] += size
            covers[b] += size
    return {"blocks": nodes, "per_node": per_node, "rows": n_users + n_items, "train": len(pairs), "edges": len(across),
            "per_rank": len(per_rank), "once": len(once), "once_worst": max(received), "cover": sum(covers),
            "cover_worst": max(covers)}


def main() -> None:
    lines = pathlib.Path(sys.argv[1]).read_text(encoding="ascii").splitlines()
    n_items, nodes, per_node = map(int, sys.argv[2:5])
    pairs = [(user, int(item)) for user, line in enumerate(lines) for item in line.split()[1:]]
    with open(sys.argv[5], encoding="ascii") as file:
        rows = [{name: int(value) for name, value in row.items()} for row in csv.DictReader(file, delimiter="\t")]
    want = count(pairs, len(lines), n_items, nodes, per_node)
    assert rows == [want], f"{rows} is not {want}"
    print(want)


main()
