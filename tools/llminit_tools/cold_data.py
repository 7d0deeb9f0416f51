"""The datasets of tools/study cold: llminit prepare once for each split, and random vectors beside the text's."""
from __future__ import annotations

import ast
import math
import os
import pathlib
import random
import re
import struct
from typing import BinaryIO, Iterator, Sequence

from . import run
from .program import FORMAT, IO, Failure, Program, Word

SEED = 2020  # of random vectors: the same for all splits
TYPES = {"f2": "e", "f4": "f", "f8": "d"}  # of numbers in a .npy file, and in Python's struct


# ---- Datasets --------------------------------------------------------------------------------------------------------


def share_out(llminit: Program, settings: Sequence[str]) -> tuple[list[str], list[str]]:
    """Those NAME=VALUE that prepare has, and those that train has. What neither has is left to train, which says what
    name is near."""
    groups = {group: {row["name"] for row in rows} for group, rows in llminit.ask_json("settings").items()}
    of_prepare = [one for one in settings if one.partition("=")[0] in groups["prepare"]]
    return of_prepare, [one for one in settings if one not in of_prepare or one.partition("=")[0] in groups["train"]]


def record_of(data: pathlib.Path, arguments: Sequence[Word]) -> tuple[pathlib.Path, str]:
    """The file beside `data` that says what it was prepared from, and its text."""
    words = [str(word.resolve() if isinstance(word, pathlib.Path) else word) for word in arguments]
    return data.with_suffix(".arguments"), "".join(f"{word}\n" for word in words)


def require_same(data: pathlib.Path, arguments: Sequence[Word]) -> None:
    """Failure if `data` was prepared by other arguments."""
    record, text = record_of(data, arguments)
    if not record.exists() or record.read_text(encoding="utf-8") != text:
        raise Failure(f"{data} was prepared otherwise: choose another --out, or remove {data.parent}")


def prepare(llminit: Program, data: pathlib.Path, arguments: Sequence[Word]) -> None:
    """Make `data` by `llminit prepare arguments`."""
    run.write_file(*record_of(data, arguments))
    llminit.ask("prepare", *arguments, "--out", data)


# ---- Random vectors --------------------------------------------------------------------------------------------------


def read_header(file: BinaryIO, path: pathlib.Path) -> tuple[str, int, int]:
    """(type of the numbers, rows, columns) of a .npy file, which is read up to its numbers (NumPy Enhancement
    Proposal 1)."""
    magic = file.read(8)
    size = int.from_bytes(file.read(2 if magic[6:7] == b"\1" else 4), "little")
    try:
        if magic[:6] != b"\x93NUMPY":
            raise ValueError
        header = ast.literal_eval(file.read(size).decode("latin-1"))
        n, dim = header["shape"]
        kind = re.fullmatch(r"<(f[248])", header["descr"])
        if not kind or header["fortran_order"]:
            raise ValueError
    except (ValueError, SyntaxError, KeyError, TypeError):
        raise Failure(f"{path}: random vectors are made beside a .npy file of vectors: little-endian float numbers, "
                      "rows x columns, in C order", FORMAT) from None
    return kind[1], n, dim


def norms_of(path: pathlib.Path) -> tuple[list[float], int]:
    """The norm of each row, and the number of columns."""
    try:
        with open(path, "rb") as file:
            kind, n, dim = read_header(file, path)
            rows = struct.Struct(f"<{dim}{TYPES[kind]}")
            return [norm_of(rows.unpack(file.read(rows.size))) for _ in range(n)], dim
    except struct.error:
        raise Failure(f"{path}: ends before its last row", FORMAT) from None
    except OSError as error:
        raise Failure(f"{path}: cannot read: {error.strerror}", IO) from None


def norm_of(row: Sequence[float]) -> float:
    return math.sqrt(math.fsum(value * value for value in row))


def random_rows(norms: Sequence[float], dim: int) -> Iterator[list[float]]:
    """Rows in directions that are uniform on the sphere: normal numbers, scaled to each norm."""
    draw = random.Random(SEED).gauss
    for norm in norms:
        row = [draw(0, 1) for _ in range(dim)]
        scale = norm / norm_of(row)
        yield [scale * value for value in row]


def write_random(embedding: pathlib.Path, out: pathlib.Path) -> None:
    """Write `out`, float32 vectors whose rows have the norms of those of `embedding`, unless it is there."""
    if out.exists():
        return
    norms, dim = norms_of(embedding)
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({len(norms)}, {dim}), }}"
    header = header.ljust(-(len(header) + 11) % 64 + len(header)) + "\n"
    temporary = out.with_name(out.name + ".tmp")
    out.parent.mkdir(parents=True, exist_ok=True)
    with open(temporary, "wb") as file:
        file.write(b"\x93NUMPY\1\0" + len(header).to_bytes(2, "little") + header.encode("ascii"))
        for row in random_rows(norms, dim):
            file.write(struct.pack(f"<{dim}f", *row))
    os.replace(temporary, out)
