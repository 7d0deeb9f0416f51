# After the snippet that reads files: what it read is what the program says of them, and scores are products of rows.
import json
import subprocess

info = json.loads(subprocess.run(["llminit", "info", "data.h5", "--json"], capture_output=True, check=True).stdout)
with open("run/var/tables/items.txt", encoding="utf-8") as file:
    assert item_ids == file.read().splitlines()
with open("run/var/tables/users.txt", encoding="utf-8") as file:
    assert user_ids == file.read().splitlines()
with open("shop.item", encoding="utf-8") as file:
    titles_by_id = dict(line.rstrip("\n").split("\t")[:2] for line in list(file)[1:])
assert titles == [titles_by_id[item] for item in item_ids]
assert vectors.shape == (len(item_ids), 512) and numpy.isfinite(vectors).all() and vectors.any()
assert (len(user_ids), len(item_ids), len(train_item)) == tuple(
    info["attributes"][name] for name in ("n_users", "n_items", "n_train")), info
with open("shop.inter", encoding="utf-8") as file:
    pairs = {tuple(line.rstrip("\n").split("\t")[:2]) for line in list(file)[1:]}
assert known.size and all((user_ids[user], item_ids[item]) in pairs for item in known)
assert raw_users.shape == users.shape and raw_items.shape == items.shape and settings["emb_selection"] == "var"
layers = [numpy.concatenate([raw_users, raw_items]).astype(float)]  # LightGCN by hand: the mean of the layers
row = numpy.repeat(numpy.arange(len(user_ids)), numpy.diff(user_ptr))
degree = numpy.bincount(numpy.concatenate([row, train_item + len(user_ids)]), minlength=len(layers[0]))
scale = numpy.where(degree > 0, numpy.maximum(degree, 1) ** -0.5, 0)[:, None]
for _ in range(int(settings["n_layers"])):
    near, far = scale * layers[-1], numpy.zeros_like(layers[0])
    numpy.add.at(far, row, near[train_item + len(user_ids)])
    numpy.add.at(far, train_item + len(user_ids), near[row])
    layers.append(scale * far)
assert numpy.allclose(numpy.mean(layers, axis=0), numpy.concatenate([users, items]), rtol=1e-4, atol=1e-6)
