# After the snippet that serves with faiss: NumPy, without an index, and `llminit recommend` come to the same lists.
by_hand = users[user] @ items.T
masked = by_hand.copy()
masked[known] = -numpy.inf
order = numpy.argsort(-masked, kind="stable")[:20]
assert numpy.allclose(sorted(by_hand[new], reverse=True), masked[order], rtol=1e-5)
assert not set(new) & set(known)
with open("recs.tsv", encoding="utf-8") as file:
    rows = [line.rstrip("\n").split("\t") for line in file]
of_user = [row for row in rows if row[0] == user_ids[user]]
known_and_valid = set(known) | set(valid)
mine = [(item_ids[item], score) for item, score in zip(found[0], scores[0]) if item not in known_and_valid][:20]
assert len(of_user) == len(mine) == 20
for row, (item, score) in zip(of_user, mine):
    assert abs(float(row[3]) - score) <= 1e-4 * abs(score), (row, item, score)
assert {row[2] for row in of_user[:15]} <= {item for item, _ in mine}
