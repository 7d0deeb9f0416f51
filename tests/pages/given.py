#!/usr/bin/env python3
"""Make, of the data of a shop, folders as users of other programs have them. tests/pages/run calls it.

    tests/pages/given.py recbole|llminit|lightgcn|new   shop.inter, shop.item, shop.npy of this folder -> a folder;
    new: files of a new item
"""
from __future__ import annotations

import pathlib
import struct
import sys
from typing import Iterator

DIM = 32  # of the vectors that are written as text
PROPERTIES = {  # what these files of LLMInit say, as far as it is not for a GPU, or for other kinds of models
    "overall.yaml": """
gpu_id: '0'
use_gpu: True
state: INFO
data_path: 'dataset/'
dataset_save_path: ~
epochs: 300
train_batch_size: 2048
learner: adam
learning_rate: 0.001
train_neg_sample_args: {distribution: uniform, sample_num: 1, alpha: 1.0, dynamic: False, candidate_num: 0}
clip_grad_norm: ~
require_pow: False
eval_args: {group_by: user, order: RO, split: {LS: valid_and_test}, mode: full}
repeatable: True
metrics: [Recall, NDCG, MRR, Hit, Precision]
topk: [10, 20, 50]
valid_metric: NDCG@10
context: False
""",
    "dataset/amazon-beauty.yaml": """
field_separator: "\\t"
seq_separator: " "
USER_ID_FIELD: user_id
ITEM_ID_FIELD: item_id
threshold: ~
kg_reverse_r: False
entity_kg_num_interval: ~
load_col: {inter: [user_id, item_id], item: [item_id, description, llm_embedding]}
title: description
emb_init: llm_embedding
unload_col: ~
rm_dup_inter: ~
val_interval: ~
filter_inter_by_user_or_item: True
user_inter_num_interval: "[5,inf)"
item_inter_num_interval: "[5,inf)"
normalize_all: True
""",
    "model/ContGCN.yaml": f"""
embedding_size: 16
llm_embedding_size: {DIM}
emb_selection: False
n_layers: 2
reg_weight: 1e-05
""",
}


def first_numbers(path: str) -> Iterator[tuple[float, ...]]:
    """The first DIM numbers of each row of a .npy of version 1 and type float16."""
    content = pathlib.Path(path).read_bytes()
    begin = 10 + int.from_bytes(content[8:10], "little")
    header = content[10:begin].decode()
    assert "'<f2'" in header, header
    width = 2 * int(header.partition("'shape': (")[2].partition(")")[0].split(",")[1])
    for row in range(begin, len(content), width):
        yield struct.unpack_from(f"<{DIM}e", content, row)


def lines_of(name: str) -> list[str]:
    return pathlib.Path(name).read_text(encoding="utf-8").splitlines()


def make_recbole() -> None:
    folder = pathlib.Path("dataset/shop")
    folder.mkdir(parents=True)
    for name in ("shop.inter", "shop.item"):
        (folder / name).write_bytes(pathlib.Path(name).read_bytes())


def make_llminit() -> None:
    """Items with a Python list in a column of type token_seq, and the files of settings."""
    folder = pathlib.Path("dataset/amazon-beauty")
    folder.mkdir(parents=True)
    (folder / "amazon-beauty.inter").write_bytes(pathlib.Path("shop.inter").read_bytes())
    lines = ["item_id:token\tdescription:token_seq\tllm_embedding:token_seq"]
    for line, numbers in zip(lines_of("shop.item")[1:], first_numbers("shop.npy")):
        lines.append(f"{line}\t[{', '.join(f'{number:.4f}' for number in numbers)}]")
    (folder / "amazon-beauty.item").write_text("\n".join(lines) + "\n", encoding="utf-8")
    for name, text in PROPERTIES.items():
        path = pathlib.Path("recbole/properties") / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def make_lightgcn() -> None:
    """train.txt and test.txt: a user and the items on each line, as numbers; each tenth item is for testing."""
    items: dict[str, int] = {}
    users: dict[str, list[int]] = {}
    for line in lines_of("shop.inter")[1:]:
        user, item = line.split("\t")[:2]
        users.setdefault(user, []).append(items.setdefault(item, len(items)))
    folder = pathlib.Path("data/gowalla")
    folder.mkdir(parents=True)
    for name, is_test in (("train.txt", False), ("test.txt", True)):
        lines = [" ".join(map(str, [user, *(item for k, item in enumerate(found) if (k % 10 == 9) == is_test)]))
                 for user, found in enumerate(users.values())]
        (folder / name).write_text("\n".join(line for line in lines if " " in line) + "\n", encoding="utf-8")


def make_new() -> None:
    """A new item, with a vector that another one has, and a new user who has it and an old one."""
    content = pathlib.Path("shop.npy").read_bytes()
    begin = 10 + int.from_bytes(content[8:10], "little")
    shape = content[10:begin].decode().partition("'shape': (")[2].partition(")")[0]
    width = int(shape.split(",")[1])
    header = content[: begin - 1].replace(f"({shape})".encode(), f"(1, {width})".encode()).rstrip()
    pathlib.Path("new.npy").write_bytes(header.ljust(begin - 1) + b"\n" + content[begin:begin + 2 * width])
    pathlib.Path("new.item").write_text("item_id:token\ttitle:token_seq\nnovi\tan editor\n", encoding="utf-8")
    old = lines_of("shop.inter")[1].split("\t")[1]
    pathlib.Path("new.inter").write_text(f"user_id:token\titem_id:token\nann\tnovi\nann\t{old}\n", encoding="utf-8")


if __name__ == "__main__":
    {"recbole": make_recbole, "llminit": make_llminit, "lightgcn": make_lightgcn, "new": make_new}[sys.argv[1]]()
