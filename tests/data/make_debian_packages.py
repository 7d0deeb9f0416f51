#!/usr/bin/env python3
"""Write RecBole atomic files of Debian's package dependencies.

Users are binary packages, items the packages they name in Pre-Depends, Depends, Recommends or Suggests, the text of an
item its name and short description; 5-core on both sides. The index comes on standard input:

    apt-cache dumpavail | tests/data/make_debian_packages.py FOLDER

Writes FOLDER/debian-packages.inter and FOLDER/debian-packages.item.
"""
import argparse
import collections
import pathlib
import re
import sys

NAME = "debian-packages"
FIELDS = ("Pre-Depends", "Depends", "Recommends", "Suggests")
CORE = 5


def read_index(stream):
    """{package name: {field: first line of its value}}; of a package listed twice, the last."""
    packages, fields = {}, {}
    for line in [*stream, "\n"]:
        if line == "\n":
            if fields:
                packages[fields["Package"]] = fields
            fields = {}
        elif match := re.match(r"([A-Za-z0-9-]+): ?(.*)", line):
            fields.setdefault(match[1], match[2].strip())
    return packages


def named_packages(fields):
    """The names in the dependency fields, in order, without versions and architectures."""
    for field in FIELDS:
        for part in fields.get(field, "").replace("|", ",").split(","):
            yield re.split(r"[ (:\[<]", part.strip())[0]


def dependencies(packages):
    """Distinct (package, other package of the index), packages in order of name."""
    pairs = {}  # a dictionary keeps order
    for name in sorted(packages):
        for other in named_packages(packages[name]):
            if other in packages and other != name:
                pairs[name, other] = True
    return list(pairs)


def k_core(pairs, k):
    """The pairs that remain when users and items with fewer than k are dropped until none is left."""
    while True:
        users = collections.Counter(user for user, _ in pairs)
        items = collections.Counter(item for _, item in pairs)
        kept = [(u, i) for u, i in pairs if users[u] >= k and items[i] >= k]
        if len(kept) == len(pairs):
            return kept
        pairs = kept


def write_rows(path, header, rows):
    with open(path, "w", encoding="utf-8") as file:
        for row in (header, *rows):
            file.write("\t".join(row) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=pathlib.Path)
    folder = parser.parse_args().folder
    packages = read_index(sys.stdin)
    pairs = k_core(dependencies(packages), CORE)
    items = sorted({item for _, item in pairs})
    text = lambda item: packages[item].get("Description-en", packages[item].get("Description", ""))
    folder.mkdir(parents=True, exist_ok=True)
    write_rows(folder / f"{NAME}.inter", ("user_id:token", "item_id:token"), pairs)
    write_rows(
        folder / f"{NAME}.item",
        ("item_id:token", "title:token_seq"),
        ((item, f"{item}: {text(item)}") for item in items),
    )
    print(f"{len({u for u, _ in pairs})} users, {len(items)} items, {len(pairs)} interactions")


if __name__ == "__main__":
    main()
