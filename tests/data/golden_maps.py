"""Golden numbers of cold items: rows of a map from vectors, and its calibration on warm items that are held out; a part
of make_golden.py."""
import numpy as np

from golden_metrics import rank_metrics

HELD_OUT = 4  # every fourth pair is valid
COLD_ITEMS, COLD_MISSING = (4, 11, 17, 23, 28), (7, 23)  # those that are marked; those without a vector
COLD_NEIGHBORS, COLD_REG = (5, 2), (0.3, 1.0, 3.0, 10.0)
COLD_GAINS, COLD_GAINS_MATRIX = (0.5, 2.0, 4.0), (0.5, 4.0, 40.0)
CALIBRATE_SHARE, CALIBRATE_USERS, CALIBRATE_STREAM, SEED = 0.2, 12, 11, 2020


def random_bits(stream, a, b):
    """The first word of Philox4x64-10 at the counter (a, b, 0, 0); NumPy counts up before it draws."""
    counter = (a + (b << 64) - 1) % (1 << 256)
    return int(np.random.Philox(counter=counter, key=SEED + (stream << 64)).random_raw())


class Cold:
    """Which items are cold, which have a vector, what is trained on; an item's row of a map fitted on others."""

    def __init__(self, tiny):
        self.n = tiny.n_items
        self.marked, self.missing = (np.isin(np.arange(self.n), items) for items in (COLD_ITEMS, COLD_MISSING))
        self.warm = np.flatnonzero(~self.marked & ~self.missing)  # with a vector
        self.new = np.flatnonzero(self.marked & ~self.missing)
        self.center = tiny.llm[self.warm].mean(axis=0)
        self.vectors = tiny.llm - self.center
        self.vectors /= np.linalg.norm(self.vectors, axis=1, keepdims=True)
        pairs = tiny.train[np.lexsort((tiny.train[:, 1], tiny.train[:, 0]))]
        self.pairs = pairs[~self.marked[pairs[:, 1]]]

    def neighbors(self, items, fitted):
        """All fitted items, the nearest first."""
        cosines = self.vectors[items] @ self.vectors[fitted].T
        return fitted[np.argsort(-cosines, axis=1, kind="stable")]

    def nearest(self, items, fitted, table, k):
        return table[self.neighbors(items, fitted)[:, :k]].mean(axis=1)

    def ridge(self, items, fitted, table, weight):
        f = self.vectors[fitted]
        gram = f.T @ f + weight * np.eye(f.shape[1])
        return self.vectors[items] @ np.linalg.solve(gram, f.T @ table[fitted])

    def held_out(self):
        first = sorted(self.warm, key=lambda i: random_bits(CALIBRATE_STREAM, int(i), 0))
        return np.sort(first[: int(CALIBRATE_SHARE * len(self.warm))])


def calibration_users(cold, tiny, tested):
    """Of each user that is asked: history and likes. `tested`: which pairs are the valid part; None: there is none."""
    held = np.isin(np.arange(cold.n), cold.held_out())
    train, valid = (cold.pairs, cold.pairs[:0]) if tested is None else (cold.pairs[~tested], cold.pairs[tested])
    users = {}
    for user in range(tiny.n_users):
        items, likes = train[train[:, 0] == user, 1], valid[valid[:, 0] == user, 1]
        mine, rest = items[held[items]], items[~held[items]]
        if len(rest) < 2 if tested is None else len(rest) < 1 or held[likes].all():
            continue
        if tested is None:
            likes = rest[[random_bits(CALIBRATE_STREAM, user, 2) * len(rest) >> 64]]
        users[user] = np.setdiff1d(rest, likes), np.union1d(mine, likes)
    asked = sorted(users, key=lambda user: random_bits(CALIBRATE_STREAM, user, 1))[:CALIBRATE_USERS]
    return {user: users[user] for user in sorted(asked)}


def calibration_curve(cold, users, table, fill, parameters, gains, score):
    """A row for each parameter and gain: both, the worth of targets, shares of the other and of the held-out ones hit.
    The last gain of a parameter makes the held-out rows as long as they are in the table."""
    held = cold.held_out()
    fitted, curve = np.setdiff1d(cold.warm, held), []
    for parameter in parameters:
        rows = fill(held, fitted, table, parameter)
        for gain in (*gains, 1.0, np.sqrt((table[held] ** 2).sum() / (rows**2).sum())):
            trial = table.copy()
            trial[held] = gain * rows
            found = []
            for user, (history, likes) in users.items():
                scores = score(trial, user, history)
                scores[cold.marked] = scores[history] = -np.inf
                place = {item: n for n, item in enumerate(np.argsort(-scores, kind="stable")[:10])}
                worth = {item: 1 / np.log2(n + 2) for item, n in place.items()}
                found += [(item in held, item in place, worth.get(item, 0)) for item in likes]
            is_held, hit, worth = np.array(found).T
            of = [is_held == 0, is_held == 1]
            curve.append([parameter, gain, np.mean([worth[k].mean() for k in of]), *(hit[k].mean() for k in of)])
    return np.array(curve)


def answers_maps_of_cold(tiny, users, items, matrix):
    """`matrix`: as it is kept, row j has what each train item adds to the score of item j."""
    cold = Cold(tiny)
    tested = np.arange(len(cold.pairs)) % HELD_OUT == HELD_OUT - 1
    product = lambda table, user, _: table @ users[user]
    add = lambda table, _, history: table[:, history].sum(axis=1)
    some, withheld = (calibration_users(cold, tiny, part) for part in (tested, None))
    out = {"center": cold.center, "neighbors": cold.neighbors(cold.new, cold.warm)[:, : COLD_NEIGHBORS[0]]}
    for name, table in (("table", items), ("matrix", matrix)):
        out[f"nearest_{name}"] = np.array([cold.nearest(cold.new, cold.warm, table, k) for k in COLD_NEIGHBORS])
        out[f"ridge_{name}"] = np.array([cold.ridge(cold.new, cold.warm, table, weight) for weight in COLD_REG])
    nearest, ridge = (cold.nearest, COLD_NEIGHBORS, COLD_GAINS), (cold.ridge, COLD_REG, COLD_GAINS_MATRIX)
    out["curve_table"] = calibration_curve(cold, some, items, *nearest, product)
    out["curve_matrix"] = calibration_curve(cold, some, matrix, *ridge, add)
    out["curve_withheld"] = calibration_curve(cold, withheld, items, *nearest, product)
    return {f"cold_{name}": array for name, array in out.items()}
