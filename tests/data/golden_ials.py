"""iALS in plain NumPy: sweeps of least squares over all pairs, with and without a prior of the items' vectors and
weights of the interactions."""
import numpy as np

ALPHA0, REG_WEIGHT, NU, PRIOR_REG_WEIGHT = 0.05, 0.02, 0.8, 0.7
SWEEPS = 3


def solve(pairs, other, weights, prior):
    """The rows that make their part of the loss smallest, for those of the other side. pairs: rows x others, 0 or the
    confidence"""
    common = ALPHA0 * other.T @ other
    rows = np.empty_like(prior)
    for row, mine in enumerate(pairs):
        near, confidence = other[mine > 0], mine[mine > 0]
        matrix = near.T @ (confidence[:, None] * near) + common + weights[row] * np.eye(other.shape[1])
        rows[row] = np.linalg.solve(matrix, confidence @ near + weights[row] * prior[row])
    return rows


def fit_map(vectors, items, weights):
    """M that makes sum l |h - M'x|^2 + mu l |M|^2 smallest, and that last term."""
    reg = PRIOR_REG_WEIGHT * weights.mean()
    gram = vectors.T @ (weights[:, None] * vectors) + reg * np.eye(vectors.shape[1])
    mapped = np.linalg.solve(gram, vectors.T @ (weights[:, None] * items))
    return mapped, reg * (mapped**2).sum()


def sweep(pairs, users, items, vectors):
    """All items for the users, then all users for the items; the loss at the end, of all pairs."""
    n_users, n_items = pairs.shape
    of_users = REG_WEIGHT * (pairs.sum(axis=1) + ALPHA0 * n_items) ** NU
    of_items = REG_WEIGHT * (pairs.sum(axis=0) + ALPHA0 * n_users) ** NU
    prior, penalty = np.zeros_like(items), 0.0
    if vectors is not None:
        mapped, penalty = fit_map(vectors, items, of_items)
        prior = vectors @ mapped
    items = solve(pairs.T, users, of_items, prior)
    users = solve(pairs, items, of_users, np.zeros_like(users))
    scores = users @ items.T
    loss = (
        (pairs * (1 - scores) ** 2).sum()
        + ALPHA0 * (scores**2).sum()
        + (of_users[:, None] * users**2).sum()
        + (of_items[:, None] * (items - prior) ** 2).sum()
        + penalty
    )
    return users, items, loss


def answers_ials(tiny, items):
    """Three sweeps from these items; the users start at the solution for them."""
    pairs = np.zeros((tiny.n_users, tiny.n_items))
    pairs[tiny.train[:, 0], tiny.train[:, 1]] = 1
    centred = tiny.llm - tiny.llm.mean(axis=0)
    directions = centred / np.linalg.norm(centred, axis=1, keepdims=True)
    of_users = REG_WEIGHT * (pairs.sum(axis=1) + ALPHA0 * len(items)) ** NU
    start = solve(pairs, items, of_users, np.zeros((len(pairs), items.shape[1])))
    out = {"ials_start_user": start}
    confidence = pairs * (0.5 + (3 * np.arange(tiny.n_users)[:, None] + 5 * np.arange(tiny.n_items)) % 7)
    confidence *= pairs.sum() / confidence.sum()
    for name, vectors, of_pairs in (
        ("ials", None, pairs),
        ("ials_text", directions, pairs),
        ("ials_weighted", directions, confidence),
    ):
        of_users = REG_WEIGHT * (of_pairs.sum(axis=1) + ALPHA0 * len(items)) ** NU
        rows, losses = [solve(of_pairs, items, of_users, np.zeros_like(start)), items], []
        for _ in range(SWEEPS):
            rows[0], rows[1], loss = sweep(of_pairs, *rows, vectors)
            losses.append(loss)
        out |= {f"{name}_user": rows[0], f"{name}_item": rows[1], f"{name}_losses": np.array(losses)}
    return out
