#!/usr/bin/env python3
"""Recompute the golden numbers of tests/data/golden in plain NumPy float64, apart from the program they test.

    tests/data/make_golden.py tests/data/golden            writes every answer, from the problems in that folder
    tests/data/make_golden.py --check tests/data/golden    compares instead, and fails if one differs by more than 1e-9

The problems are given (drawn once at random) and never written: tiny/{train,llm,batch,traj_batches,sgl_view?_edges}.npy
and metrics/{scores,train_mask,test_positives}.npy, times/interactions.npy. The formulas are in the README beside
them. Needs NumPy.
"""
import argparse
import json
import pathlib
import random
import sys

import numpy as np

from golden_ials import answers_ials
from golden_maps import answers_maps_of_cold
from golden_metrics import answers_cold, answers_metrics, rank_metrics

DIM, LAYERS, POPULAR_RATIO = 16, 2, 0.2
REG_WEIGHT, SSL_WEIGHT, TEMPERATURE = 1e-5, 0.05, 0.2
EASE_WEIGHT = 3.0
L3AE_TEXT_WEIGHT, L3AE_WEIGHT, L3AE_DISTILL_WEIGHT = 0.7, 2.0, 5.0
DROPOUT, USER_WEIGHT, ITEM_POWER, NEGATIVE_WEIGHT, THIN_DIM = 0.3, 0.4, 0.25, -1.0, 12
NEIGHBOURS, SHRINK = 5, 2.0
FILTER_ORDER, FILTER_FLATNESS, IDEAL_DIM, IDEAL_WEIGHT, DEGREE_POWER = 5, 2.0, 6, 0.3, 0.25
TEXT_WEIGHT, TEXT_DIM, TEXT_IDEAL_DIM = 0.7, 20, 18
HELD_OUT = 4  # every fourth pair is tested
BOOTSTRAP_USERS = 200
WHITEN_POWERS = (0.5, 1.0)  # 0 is pca
UNI_CASES = ((48, 16), (100, 64), (384, 128), (512, 64), (512, 100), (512, 128), (768, 128), (1024, 128))
SPLIT_TIMES = (15, 30)
WORST_ALLOWED = 1e-9


# Selection and graph


def uni_dims(width, dim):
    return np.arange(dim) * (width // dim)


def most_popular(degrees, ratio):
    """The floor(ratio * items) most interacted items, ties to the lower item; in ascending order."""
    return np.sort(np.argsort(-degrees, kind="stable")[: int(ratio * len(degrees))])


def principal(vectors, dim):
    """Mean, the `dim` largest eigenvalues of the covariance and their eigenvectors, largest component positive."""
    mean = vectors.mean(axis=0)
    values, directions = np.linalg.eigh(np.cov(vectors - mean, rowvar=False))
    values, directions = values[::-1][:dim], directions[:, ::-1][:, :dim]
    largest = directions[np.argmax(np.abs(directions), axis=0), np.arange(dim)]
    return mean, values, directions * np.sign(largest)


def pivots(vectors, dim):
    """The first `dim` columns of QR with column pivoting of the centred vectors, by Gram and Schmidt."""
    rest = vectors - vectors.mean(axis=0)
    order = []
    for _ in range(dim):
        squares = np.sum(rest**2, axis=0)
        squares[order] = -1
        order.append(int(np.argmax(squares)))
        unit = rest[:, order[-1]] / np.linalg.norm(rest[:, order[-1]])
        rest = rest - np.outer(unit, unit @ rest)
    return np.array(order)


TOPS = (1, 8, 16, 32, 64)


def spectrum(table):
    """Singular values, one for each column, and what they say: effective rank, participation ratio, information
    abundance, and shares of the squared sum that the largest hold."""
    values = np.zeros(table.shape[1])
    values[: min(table.shape)] = np.linalg.svd(table, compute_uv=False)
    shares, squares = values[values > 0] / values.sum(), values**2
    measures = [np.exp(-np.sum(shares * np.log(shares))), squares.sum() ** 2 / np.sum(squares**2), 1 / shares[0]]
    return values, np.array(measures + [squares[:top].sum() / squares.sum() for top in TOPS])


def start_tables(train, vectors, dims, n_users):
    """Items: the selected columns. Users: the mean of their items, zero without any."""
    items = vectors[:, dims]
    users = np.zeros((n_users, len(dims)))
    np.add.at(users, train[:, 0], items[train[:, 1]])
    counts = np.bincount(train[:, 0], minlength=n_users)
    return users / np.maximum(counts, 1)[:, None], items


def adjacency(edges, n_users, n_items):
    """A^ = D^-1/2 A D^-1/2 over users, then items, dense."""
    nodes = n_users + n_items
    matrix = np.zeros((nodes, nodes))
    matrix[edges[:, 0], n_users + edges[:, 1]] = 1
    matrix += matrix.T
    scale = (matrix.sum(axis=1) + 1e-7) ** -0.5
    return scale[:, None] * matrix * scale[None, :]


def propagate(matrix, table):
    """Mean of A^k E0 over the layers k = 0..L. A^ is symmetric, so this is its own backward."""
    layers = [table]
    for _ in range(LAYERS):
        layers.append(matrix @ layers[-1])
    return sum(layers) / (LAYERS + 1)


# Losses: each gives (value, gradient with respect to the rows it was handed)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def bpr(table, rows, epsilon, mean):
    """-log(epsilon + sigmoid(u.i - u.j)), summed or averaged over the batch; rows = node numbers of u, i, j."""
    u, i, j = (table[r] for r in rows)
    s = sigmoid(np.sum(u * (i - j), axis=1))
    weight = 1 / len(s) if mean else 1.0
    slope = (-weight * s * (1 - s) / (epsilon + s))[:, None]
    gradient = np.zeros_like(table)
    np.add.at(gradient, rows[0], slope * (i - j))
    np.add.at(gradient, rows[1], slope * u)
    np.add.at(gradient, rows[2], -slope * u)
    return -weight * np.sum(np.log(epsilon + s)), gradient


def norm_penalty(table, rows):
    """(|U| + |I| + |J|) / B: Frobenius norms, not squared, repeats counted."""
    value, gradient = 0.0, np.zeros_like(table)
    for r in rows:
        norm = np.linalg.norm(table[r])
        value += norm / len(r)
        np.add.at(gradient, r, table[r] / (norm * len(r)))
    return value, gradient


def normalise(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def normalise_backward(rows, gradient):
    unit = normalise(rows)
    along = np.sum(unit * gradient, axis=1, keepdims=True)
    return (gradient - along * unit) / np.linalg.norm(rows, axis=1, keepdims=True)


def contrast(view1, view2, ids):
    """sum_b [log sum_k exp(x_b.y_k / t) - x_b.y_b / t]: x = view 1 rows of `ids`, y = all view 2 rows, normalised."""
    x, y = normalise(view1[ids]), normalise(view2)
    scores = np.exp(x @ y.T / TEMPERATURE)
    total = scores.sum(axis=1, keepdims=True)
    value = np.sum(np.log(total[:, 0]) - np.sum(x * y[ids], axis=1) / TEMPERATURE)
    share = scores / total
    grad_x = (share @ y - y[ids]) / TEMPERATURE
    grad_y = share.T @ x / TEMPERATURE
    np.add.at(grad_y, ids, -x / TEMPERATURE)
    gradient1 = np.zeros_like(view1)
    np.add.at(gradient1, ids, normalise_backward(view1[ids], grad_x))
    return value, gradient1, normalise_backward(view2, grad_y)


def batch_contrast(table, rows):
    """sum_b [log(sum_c exp(a_b.a_c / t) + sum_c exp(p_b.p_c / t)) - a_b.p_b / t]: c over the whole batch."""
    a, p = normalise(table[rows[0]]), normalise(table[rows[1]])
    among_a, among_p = np.exp(a @ a.T / TEMPERATURE), np.exp(p @ p.T / TEMPERATURE)
    total = (among_a + among_p).sum(axis=1)
    value = np.sum(np.log(total) - np.sum(a * p, axis=1) / TEMPERATURE)
    # Row b of the scores depends on a_b and on every a_c: the share and its transpose.
    share_a, share_p = among_a / total[:, None], among_p / total[:, None]
    grad_a = ((share_a + share_a.T) @ a - p) / TEMPERATURE
    grad_p = ((share_p + share_p.T) @ p - a) / TEMPERATURE
    gradient = np.zeros_like(table)
    np.add.at(gradient, rows[0], normalise_backward(table[rows[0]], grad_a))
    np.add.at(gradient, rows[1], normalise_backward(table[rows[1]], grad_p))
    return value, gradient


# Models: each gives (parts of the loss by name, total, gradient with respect to the raw table)


class Tiny:
    """The problem `tiny`; nodes are users, then items, in one table."""

    def __init__(self, folder):
        load = lambda name: np.load(folder / f"{name}.npy")
        self.train, self.llm = load("train"), load("llm").astype(np.float64)
        self.batch, self.batches = load("batch"), load("traj_batches")
        self.view_edges = load("sgl_view1_edges"), load("sgl_view2_edges")
        self.n_users, self.n_items = int(self.train[:, 0].max()) + 1, len(self.llm)
        self.graph, self.view1, self.view2 = (
            adjacency(edges, self.n_users, self.n_items) for edges in (self.train, *self.view_edges)
        )

    def rows(self, batch):
        return batch[:, 0], batch[:, 1] + self.n_users, batch[:, 2] + self.n_users

    def split(self, table):
        return {"user": table[: self.n_users], "item": table[self.n_users :]}


def model_bpr(tiny, table, batch):
    value, gradient = bpr(table, tiny.rows(batch), 1e-10, mean=True)
    return {}, value, gradient


def model_lightgcn(tiny, table, batch):
    rows = tiny.rows(batch)
    value, grad_final = bpr(propagate(tiny.graph, table), rows, 1e-10, mean=True)
    reg, grad_reg = norm_penalty(table, rows)
    parts = {"bpr": value, "reg_unweighted": reg}
    return parts, value + REG_WEIGHT * reg, propagate(tiny.graph, grad_final) + REG_WEIGHT * grad_reg


def model_sgl(tiny, table, batch):
    rows = tiny.rows(batch)
    value, grad_final = bpr(propagate(tiny.graph, table), rows, 0.0, mean=False)
    reg, grad_reg = norm_penalty(table, rows)
    view1, view2 = propagate(tiny.view1, table), propagate(tiny.view2, table)
    grad1, grad2 = np.zeros_like(table), np.zeros_like(table)
    ssl = 0.0
    for nodes, ids in (
        (slice(0, tiny.n_users), batch[:, 0]),
        (slice(tiny.n_users, None), batch[:, 1]),
    ):
        side, grad1[nodes], grad2[nodes] = contrast(view1[nodes], view2[nodes], ids)
        ssl += SSL_WEIGHT * side
    parts = {"bpr_sum": value, "reg_unweighted": reg, "ssl_weighted": ssl}
    gradient = propagate(tiny.graph, grad_final) + REG_WEIGHT * grad_reg
    gradient += SSL_WEIGHT * (propagate(tiny.view1, grad1) + propagate(tiny.view2, grad2))
    return parts, value + REG_WEIGHT * reg + ssl, gradient


def model_sgcl(tiny, table, batch):
    value, gradient = batch_contrast(propagate(tiny.graph, table), tiny.rows(batch))
    return {}, value, propagate(tiny.graph, gradient)


MODELS = {"bpr": model_bpr, "lightgcn": model_lightgcn, "sgl": model_sgl, "sgcl": model_sgcl}
SPECTRA = ("pca_item_init", "lightgcn_final_user", "lightgcn_final_item")  # beside the vectors themselves
TRAJECTORIES = ("bpr", "lightgcn", "sgcl")  # sgl would need new views for each step


def adam(table, gradients, rate=1e-3, beta1=0.9, beta2=0.999, epsilon=1e-8):
    """Adam as PyTorch's (Kingma and Ba 2015). `gradients(table, step)` for steps 0, 1, ... until it gives None."""
    first, second, step = np.zeros_like(table), np.zeros_like(table), 0
    while (gradient := gradients(table, step)) is not None:
        step += 1
        first = beta1 * first + (1 - beta1) * gradient
        second = beta2 * second + (1 - beta2) * gradient**2
        root = np.sqrt(second / (1 - beta2**step)) + epsilon
        table = table - rate * (first / (1 - beta1**step)) / root
    return table


# Closed forms: item-item matrices as the papers have them, scores X B


def without_diagonal(inverse, target):
    """The matrix nearest to `target` under the constraint: target - P diag(mu) with a diagonal of zeros."""
    result = target - inverse * (np.diag(target) / np.diag(inverse))
    np.fill_diagonal(result, 0)
    return result


def regularised(gram, weight, dropout):
    """P: the inverse of G + weight I, with EDLAE's dropout on the diagonal."""
    return np.linalg.inv(gram + np.diag(weight + dropout / (1 - dropout) * np.diag(gram)))


def autoencoder(gram, weight, dropout=0.0):
    """EASE: I - P diag(1 / diag P)."""
    inverse = regularised(gram, weight, dropout)
    return without_diagonal(inverse, inverse @ gram)


def distilled(gram, text, weight, distill_weight, dropout=0.0):
    """L3AE: P (G + d S) - P diag(mu)."""
    inverse = regularised(gram, weight + distill_weight, dropout)
    return without_diagonal(inverse, inverse @ (gram + distill_weight * text))


def nearest(seen):
    """ItemKNN: the cosine similarity of items, of which each item (column) keeps the largest; ties to the lower one."""
    gram = seen.T @ seen
    norms = np.sqrt(np.diag(gram))
    similar = gram / (np.outer(norms, norms) + SHRINK + 1e-6)
    np.fill_diagonal(similar, 0)
    keep = np.argsort(-similar, axis=0, kind="stable")[:NEIGHBOURS]
    out = np.zeros_like(similar)
    np.put_along_axis(out, keep, np.take_along_axis(similar, keep, axis=0), axis=0)
    return out


def plateau(order, flatness):
    """ChebyCF's polynomial: the plateau at the extrema of T_order, as if those were the zeros of T_(order + 1)."""
    at = np.cos(np.arange(order, -1, -1) * np.pi / order)
    height = np.where(at < 0, 0.5 + np.abs(at) ** flatness / 2, 0.5 - np.abs(at) ** flatness / 2)
    zeros = np.polynomial.chebyshev.chebpts1(order + 1)
    return np.polynomial.chebyshev.chebfit(zeros, height, order)


def filtered(seen, coefficients, power, ideal_power, ideal_dim=IDEAL_DIM):
    """Scores of all users by the eigenvectors of R'R, whose p(L~) has the eigenvalues p(1 - 2 s^2); and s."""
    item_degrees = seen.sum(axis=0)
    normal = seen / np.sqrt(np.outer(seen.sum(axis=1), item_degrees))
    _, singular, vectors = np.linalg.svd(normal, full_matrices=True)
    singular = np.concatenate([singular, np.zeros(len(vectors) - len(singular))])
    values = np.polynomial.chebyshev.chebval(1 - 2 * singular**2, coefficients)
    ideal = IDEAL_WEIGHT * (np.arange(len(vectors)) < ideal_dim)
    scores = np.zeros_like(seen)
    for weights, by in ((values, power), (ideal, ideal_power)):
        scores += (seen * item_degrees**-by) @ (vectors.T * weights) @ vectors * item_degrees**by
    return scores, singular


def text_graph(vectors, size):
    """YY' over its largest eigenvalue, Y: `size` components of the vectors, each over the root of its deviation."""
    left, singular, _ = np.linalg.svd(vectors - vectors.mean(axis=0), full_matrices=False)
    return (left[:, :size] * singular[:size] / singular[0]) @ left[:, :size].T


def answers_filtered(tiny):
    seen = seen_matrix(tiny, tiny.train)
    chebycf, singular = filtered(seen, plateau(FILTER_ORDER, FILTER_FLATNESS), DEGREE_POWER, DEGREE_POWER)
    text = TEXT_WEIGHT * seen @ text_graph(tiny.llm, TEXT_DIM)
    low_pass = [0.5, -0.5]
    return {
        "plateau": plateau(FILTER_ORDER, FILTER_FLATNESS),
        "normal_singular": singular,
        "chebycf": chebycf,
        "gfcf": filtered(seen, low_pass, 0, 0.5)[0],
        "gfcf_text": text + filtered(seen, low_pass, 0, 0.5, TEXT_IDEAL_DIM)[0],
    }


def seen_matrix(tiny, pairs):
    seen = np.zeros((tiny.n_users, tiny.n_items))
    seen[pairs[:, 0], pairs[:, 1]] = 1
    return seen


def answers_held_out(tiny):
    """ItemKNN and Pop trained on three pairs of four, in order of (user, item), and tested on the others: the metrics
    of rank_metrics() at 10. Weights and scores are rounded to float32, as the program's are: the ties are the same."""
    pairs = tiny.train[np.lexsort((tiny.train[:, 1], tiny.train[:, 0]))]
    tested = np.arange(len(pairs)) % HELD_OUT == HELD_OUT - 1
    seen, positives = seen_matrix(tiny, pairs[~tested]), seen_matrix(tiny, pairs[tested])
    weights = nearest(seen).astype(np.float32).astype(np.float64)
    out = []
    for scores in (seen @ weights, np.tile(seen.sum(axis=0), (tiny.n_users, 1))):
        ranked = np.argsort(-np.where(seen > 0, -np.inf, scores.astype(np.float32)), axis=1, kind="stable")
        hits = np.take_along_axis(positives, ranked, axis=1) > 0
        users = [rank_metrics(h, int(p.sum()), 10) for h, p in zip(hits, positives) if p.any()]
        out.append(np.mean([list(user.values()) for user in users], axis=0))
    return np.array(out)


def answers_closed(tiny):
    seen = seen_matrix(tiny, tiny.train)
    gram = seen.T @ seen
    weighted = seen.T @ (seen * seen.sum(axis=1, keepdims=True) ** -USER_WEIGHT)
    count = seen.sum(axis=0) ** ITEM_POWER
    text, thin = (
        autoencoder(rows @ rows.T, L3AE_TEXT_WEIGHT)
        for rows in (normalise(llm - llm.mean(axis=0)) for llm in (tiny.llm, tiny.llm[:, :THIN_DIM]))
    )

    def l3ae_weighted(text):
        return distilled(weighted, text, NEGATIVE_WEIGHT, L3AE_DISTILL_WEIGHT, DROPOUT) * np.outer(count, 1 / count)

    return {
        "ease": autoencoder(gram, EASE_WEIGHT),
        "ease_weighted": autoencoder(weighted, EASE_WEIGHT, DROPOUT) * np.outer(count, 1 / count),
        "l3ae": distilled(gram, text, L3AE_WEIGHT, L3AE_DISTILL_WEIGHT),
        "l3ae_weighted": l3ae_weighted(text),
        "l3ae_thin_weighted": l3ae_weighted(thin),
        "itemknn": nearest(seen).T,
        "held_out_metrics": answers_held_out(tiny),
    }


# Answers: {file name without folder: array}, and a dictionary of scalars


def answers_selection(tiny):
    degrees = np.bincount(tiny.train[:, 1], minlength=tiny.n_items)
    popular = most_popular(degrees, POPULAR_RATIO)
    variances = tiny.llm[popular].var(axis=0, ddof=1)
    dims = {
        "uni": uni_dims(tiny.llm.shape[1], DIM),
        "var": np.sort(np.argsort(-variances, kind="stable")[:DIM]),
    }
    out = {"item_degrees": degrees, "var_popular_items": popular, "var_variances": variances}
    for name, chosen in dims.items():
        users, items = start_tables(tiny.train, tiny.llm, chosen, tiny.n_users)
        out |= {f"{name}_dims": chosen, f"{name}_user_init": users, f"{name}_item_init": items}
    out |= answers_maps(tiny.llm)
    row, col = np.nonzero(tiny.graph)
    out |= {"adj_row": row, "adj_col": col, "adj_val": tiny.graph[row, col]}
    return out, len(popular)


def answers_maps(vectors):
    mean, variances, directions = principal(vectors, DIM)
    table = (vectors - mean) @ directions
    out = {"map_center": mean, "pca_variances": variances, "pca_directions": directions, "pca_item_init": table}
    out |= {f"whiten_{p:g}_item_init": table * variances ** (-p / 2) for p in WHITEN_POWERS}
    return out | {"qr_order": pivots(vectors, DIM)}


def answers_trajectory(tiny, model, table):
    losses = []

    def gradients(now, step):
        if step == len(tiny.batches):
            return None
        _, loss, gradient = model(tiny, now, tiny.batches[step])
        losses.append(loss)
        return gradient

    return adam(table, gradients), np.array(losses)


def answers_tiny(folder):
    tiny = Tiny(folder)
    out, n_popular = answers_selection(tiny)
    scalars = {"dim": DIM, "llm_dim": tiny.llm.shape[1], "n_layers": LAYERS, "var_popular_count": n_popular}
    scalars |= {"n_users": tiny.n_users, "n_items": tiny.n_items}
    table = np.concatenate([out["var_user_init"], out["var_item_init"]])
    tables = {"lightgcn_final": propagate(tiny.graph, table)}
    for name, model in MODELS.items():
        parts, scalars[f"{name}_loss"], gradient = model(tiny, table, tiny.batch)
        scalars |= {f"{name}_{part}": value for part, value in parts.items()}
        tables[f"{name}_grad"] = gradient
        tables[f"{name}_adam1"] = adam(table, lambda _, step, g=gradient: g if step == 0 else None)
    for name in TRAJECTORIES:
        tables[f"traj_{name}"], out[f"traj_{name}_losses"] = answers_trajectory(tiny, MODELS[name], table)
    for name, whole in tables.items():
        out |= {f"{name}_{side}": part for side, part in tiny.split(whole).items()}
    out |= answers_closed(tiny)
    out |= answers_filtered(tiny)
    out |= answers_maps_of_cold(tiny, out["lightgcn_final_user"], out["lightgcn_final_item"], out["ease"].T)
    out |= answers_ials(tiny, out["var_item_init"])
    for name in ("llm", *SPECTRA):
        whole = tiny.llm if name == "llm" else out[name]
        out[f"{name}_singular"], out[f"{name}_collapse"] = spectrum(whole)
    return out, scalars


def answers_bootstrap():
    """The paired bootstrap of tools/llminit_tools/bootstrap.py, of two runs given by formulas; NumPy's Mersenne Twister
    begins in the state of Python's, which it cannot be seeded to."""
    state = random.Random(2020).getstate()[1]
    twister = np.random.RandomState()
    twister.set_state(("MT19937", state[:-1], state[-1]))
    u = np.arange(BOOTSTRAP_USERS)
    run, base = (37 * u * u + 11 * u) % 101 / 100, (53 * u * u + 7 * u) % 97 / 105
    draws = twister.random_sample((1000, BOOTSTRAP_USERS))
    means = (run - base)[(BOOTSTRAP_USERS * draws).astype(int)].mean(axis=1)
    mean = (run - base).mean()
    low, high = np.quantile(means, (0.025, 0.975))
    p = (1 + np.sum(np.abs(means - mean) >= abs(mean))) / (1 + len(means))
    return {"mean": mean, "low": low, "high": high, "p": p}


def answers_times(folder):
    """split: TS. Of each pair the first by time, then by line; its part is how many of the times are not after it."""
    user, item, time = np.load(folder / "interactions.npy").T
    order = np.argsort(time, kind="stable")
    kept = order[np.unique(np.stack([user, item])[:, order], axis=1, return_index=True)[1]]
    part = np.searchsorted(SPLIT_TIMES, time[kept], side="right")
    table = np.stack([user[kept], part, item[kept]], axis=1)
    return table[np.lexsort(table.T[::-1])].astype(np.int64)


def answers(folder):
    """All files: {path under `folder`: array, or dictionary of scalars}."""
    out = {}
    for part, compute in (("tiny", answers_tiny), ("metrics", answers_metrics)):
        arrays, scalars, *groups = compute(folder / part)
        out |= {f"{part}/groups.json": values for values in groups}
        out |= {f"{part}/{name}.npy": array for name, array in arrays.items()}
        out[f"{part}/scalars.json"] = scalars
    out["cold/tables.json"] = answers_cold()
    out["bootstrap/scalars.json"] = answers_bootstrap()
    out["times/parts.npy"] = answers_times(folder / "times")
    return out | {f"uni/uni_{width}_{dim}.npy": uni_dims(width, dim) for width, dim in UNI_CASES}


# Compare or write


def difference(got, want):
    """Largest difference relative to the largest entry; exact for whole numbers; infinite for other shapes."""
    got, want = np.asarray(got), np.asarray(want)
    if got.shape != want.shape:
        return np.inf
    if want.dtype.kind in "iub":
        return 0.0 if np.array_equal(got, want) else np.inf
    return np.abs(got - want).max() / max(np.abs(want).max(), 1e-300)


def check(folder, computed):
    """Print the difference of each file and scalar; give the largest."""
    pairs = []
    for path, got in computed.items():
        if isinstance(got, dict):
            want = json.loads((folder / path).read_text())
            keys = sorted(got.keys() | want.keys())
            pairs += [(f"{path}: {key}", got.get(key, np.nan), want.get(key, np.nan)) for key in keys]
        else:
            pairs.append((path, got, np.load(folder / path)))
    worst = 0.0
    for name, got, want in pairs:
        apart = difference(got, want)
        print(f"{apart:9.1e}  {name}")
        worst = np.fmax(worst, np.inf if np.isnan(apart) else apart)
    print(f"largest relative difference of {len(pairs)}: {worst:.1e}")
    return worst


def write(folder, computed):
    for path, got in computed.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        if isinstance(got, dict):
            (folder / path).write_text(json.dumps(got, indent=1) + "\n")
        else:
            np.save(folder / path, np.ascontiguousarray(got))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=pathlib.Path, help="tests/data/golden")
    parser.add_argument("--check", action="store_true", help="compare with the files instead of writing them")
    arguments = parser.parse_args()
    computed = answers(arguments.folder)
    if arguments.check:
        return 1 if check(arguments.folder, computed) > WORST_ALLOWED else 0
    write(arguments.folder, computed)
    return 0


if __name__ == "__main__":
    sys.exit(main())
