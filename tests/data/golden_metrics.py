"""The metrics of make_golden.py, in plain NumPy float64: of users, of groups, of the catalogue, and of cold items."""
import numpy as np

CUTOFFS = (10, 20, 50)
COLD_USERS, COLD_ITEMS = 60, 1300


def rank_metrics(hits, n_positives, k):
    """One user: `hits` = whether each place of the ranking is a positive, best first."""
    hits = hits[:k]
    ranks = np.arange(k) + 1
    gains = 1 / np.log2(np.arange(k) + 2)
    return {
        "recall": hits.sum() / n_positives,
        "ndcg": (gains * hits).sum() / gains[: min(n_positives, k)].sum(),
        "mrr": 1 / (np.argmax(hits) + 1) if hits.any() else 0.0,
        "hit": float(hits.any()),
        "precision": hits.sum() / k,
        "map": (hits * hits.cumsum() / ranks).sum() / min(n_positives, k),
    }


USER_GROUPS = {"0": (0, 0), "1-3": (1, 3), "4-7": (4, 7), "8-15": (8, 15), "16-31": (16, 31), ">=32": (32, np.inf)}
ITEM_GROUPS = {"0": (0, 0), "1-4": (1, 4), "5-9": (5, 9), "10-19": (10, 19), ">=20": (20, np.inf)}


def within(counts, groups):
    """{name of the group: whether each count is in it}"""
    return {name: (counts >= low) & (counts <= high) for name, (low, high) in groups.items()}


def means_over(users, hits, positives):
    """Means over those of the users that have a positive; empty if none has."""
    users = users & positives.any(axis=1)
    if not users.any():
        return {}
    out = {"users": int(users.sum()), "positives": int(positives[users].sum())}
    for k in CUTOFFS:
        each = [rank_metrics(h, p.sum(), k) for h, p in zip(hits[users], positives[users])]
        out |= {f"{name}@{k}": np.mean([one[name] for one in each]) for name in each[0]}
    return out


def answers_groups(train, positives, top):
    """Metrics of groups of users and of positives, and of the catalogue; `top` are the lists."""
    n_items, popularity = train.shape[1], train.sum(axis=0)
    by_popularity = np.lexsort((np.arange(n_items), -popularity))
    head = np.isin(np.arange(n_items), by_popularity[: n_items // 5])
    item_groups = {"items": within(popularity, ITEM_GROUPS), "popularity": {"head": head, "tail": ~head}}
    out, everyone = {"users": {}, "items": {}, "popularity": {}, "catalogue": {}}, np.ones(len(train), bool)
    for name, users in within(train.sum(axis=1), USER_GROUPS).items():
        out["users"][name] = means_over(users, np.take_along_axis(positives, top, axis=1), positives)
    for kind, groups in item_groups.items():
        for name, items in groups.items():
            some = positives & items
            out[kind][name] = means_over(everyone, np.take_along_axis(some, top, axis=1), some)
    for k in CUTOFFS:
        listed = np.bincount(top[:, :k].ravel(), minlength=n_items)
        gaps = np.abs(listed[:, None] - listed[None, :]).sum()  # Gini: the mean difference over twice the mean
        out["catalogue"] |= {
            f"itemcoverage@{k}": np.mean(listed > 0),
            f"giniindex@{k}": gaps / (2 * n_items * listed.sum()),
            f"averagepopularity@{k}": popularity[top[:, :k]].mean(axis=1).mean(),
        }
    return {f"{kind}/{name}": values for kind, part in out.items() for name, values in flat(part).items()}


def flat(part):
    """{"1-3": {"recall@10": x}} as {"1-3/recall@10": x}"""
    out = {}
    for name, value in part.items():
        out |= {f"{name}/{key}": x for key, x in value.items()} if isinstance(value, dict) else {name: value}
    return out


def answers_metrics(folder):
    scores, mask, positives = (
        np.load(folder / f"{name}.npy") for name in ("scores", "train_mask", "test_positives")
    )
    masked = np.where(mask, -np.inf, scores)
    top = np.argsort(-masked, axis=1, kind="stable")[:, : max(CUTOFFS)]
    hits = np.take_along_axis(positives, top, axis=1)
    users = [[rank_metrics(h, p.sum(), k) for k in CUTOFFS] for h, p in zip(hits, positives)]
    out, scalars = {"top50_items": top}, {}
    for name in users[0][0]:
        table = np.array([[one[name] for one in user] for user in users])
        out[f"per_user_{name}"] = table
        scalars |= {f"{name}@{k}": mean for k, mean in zip(CUTOFFS, table.mean(axis=0))}
    return out, scalars, answers_groups(mask, positives, top)


def drawn(what, user, item):
    """Whole numbers below 2^32, the same on any machine."""
    x = (user * 2654435761 + item * 40503 + what * 974711) % 2**32
    x = ((x ^ (x >> 15)) * 2246822519) % 2**32
    return x ^ (x >> 13)


def cold_problem():
    """Marks (bit 1: valid, bit 2: test), scores with many ties, some of positives higher, parts of 60 users and 1300
    items. Items 512 to 1023 are all warm; each tenth user has no train items, each seventh no positive."""
    user, item = np.arange(COLD_USERS)[:, None], np.arange(COLD_ITEMS)[None, :]
    kind = np.where((item < 512) | (item >= 1024), drawn(2, 0, item) % 20, 19)[0]
    marks = np.select([kind < 2, kind < 4, kind < 5], [1, 2, 3], 0)
    draw, has_positive = drawn(1, user, item) % 1000, user % 7 != 3
    train = (marks == 0) & (draw < 15) & (user % 10 != 9)
    valid = np.where(marks == 0, (draw >= 15) & (draw < 19), (marks & 1 > 0) & (draw < 12)) & has_positive
    test = np.where(marks == 0, (draw >= 19) & (draw < 24), (marks & 2 > 0) & (draw >= 12) & (draw < 24)) & has_positive
    scores = drawn(0, user, item) % 41 / 8 + (valid | test) * (drawn(4, user, item) % 4) * 0.75
    return marks, scores, {"train": train, "valid": valid, "test": test}


def ranked(scores, allowed):
    """Each user's items, best first, and whether they are there: what is not allowed comes last, and is not."""
    scores = np.where(allowed, scores, -np.inf)
    top = np.argsort(-scores, axis=1, kind="stable")
    return top, np.isfinite(np.take_along_axis(scores, top, axis=1))


def cold_tables(part, masked, hidden):
    """Metrics of a part over warm, cold and all candidates, and the shares of warm and of cold targets in the lists of
    all. A user without train items gets the most popular items, and is left out of cold."""
    marks, scores, parts = cold_problem()
    positives, trained = parts[part], parts["train"].any(axis=1)
    scores = np.where(trained[:, None], scores, parts["train"].sum(axis=0)[None, :])
    history = {"valid": parts["train"], "test": parts["train"] | parts["valid"]}[part] & masked
    cold = marks & {"valid": 1, "test": 2}[part] > 0
    everyone = np.ones(COLD_USERS, bool)
    out = {}
    for name, candidates, users in (
        ("warm", marks == 0, everyone), ("cold", cold, trained), ("all", (marks == 0) | cold, everyone)
    ):
        top, there = ranked(scores, candidates & ~hidden & ~history)
        targets = positives & candidates
        hits = np.take_along_axis(targets, top, axis=1) & there
        out[name] = means_over(users, hits, targets)
    for name, kind in (("warm", marks == 0), ("cold", cold)):  # `hits`, `top` are those of all
        targets = positives & kind
        out[f"{name}_targets"] = int(targets.sum())
        for k in CUTOFFS:
            found = (np.take_along_axis(targets, top, axis=1) & hits)[:, :k].sum()
            out[f"{name}_hit@{k}"] = found / targets.sum()
    out["left_out"] = int(((positives & cold).any(axis=1) & ~trained).sum())
    return flat(out)


def answers_cold():
    nothing, some = np.zeros(COLD_ITEMS, bool), drawn(3, 0, np.arange(COLD_ITEMS)) % 11 == 0
    cases = {"test": ("test", True, nothing), "valid": ("valid", True, nothing), "unmasked": ("test", False, nothing),
             "hidden": ("test", True, some)}
    return {f"{name}/{key}": value for name, case in cases.items() for key, value in cold_tables(*case).items()}
