from __future__ import annotations

import csv
import pathlib
import struct

import pytest
import yaml

import runs
from llminit_tools import event_file, export_log
from llminit_tools.program import Failure


def export(folder: pathlib.Path, kind: str, out: pathlib.Path) -> None:
    assert export_log.main("tools/study export-log", [str(folder), "--format", kind, "--out", str(out)]) == 0


def test_each_number_of_the_log_is_a_line(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]):
    export(runs.trained(tmp_path / "a"), "csv", tmp_path / "a.csv")
    with open(tmp_path / "a.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["epoch", "name", "value"] and all(len(row) == 3 for row in rows)
    values = {(int(epoch), name): float(value) for epoch, name, value in rows[1:]}
    assert len(values) == len(rows) - 1
    assert values[3, "train/loss"] == 1 / 3 and values[6, "test/ndcg@10"] == 0.42
    assert values[2, "spectrum/item_final/effective_rank"] == 90 and values[6, "phase/halo/bytes"] == 3e6
    assert export_log.main("export-log", [str(tmp_path / "a")]) == 0
    assert capsys.readouterr().out == (tmp_path / "a.csv").read_text()


def test_cold_metrics_and_closed_forms_are_exported_too(tmp_path: pathlib.Path):
    cold = {"warm": {"users": 3, "ndcg@10": 0.5}, "warm_hit@10": 0.25}
    test = {"event": "test", "epoch": 1, "metrics": {"ndcg@10": 0.3}, "cold": cold, "best": True, "seconds": 1.0}
    found = {one.name: one.value for one in export_log.read(runs.write(tmp_path / "a", [runs.START, test]))}
    assert found == {"test/ndcg@10": 0.3, "test-cold/warm/users": 3, "test-cold/warm/ndcg@10": 0.5,
                     "test-cold/warm_hit@10": 0.25}
    names = {one.name for one in export_log.read(runs.closed(tmp_path / "ease"))}
    assert "solve/invert" in names and "train/loss" not in names


# ---- TensorBoard -----------------------------------------------------------------------------------------------------


def test_checksums_are_those_of_the_standard():
    assert event_file.crc(b"123456789") == 0xE3069283  # RFC 3720, appendix B.4 has more
    assert event_file.crc(bytes(32)) == 0x8A9136AA
    assert event_file.crc(b"\xff" * 32) == 0x62A8AB43


def records(data: bytes) -> list[bytes]:
    """The events of a file, whose checksums are checked."""
    found = []
    while data:
        (length,) = struct.unpack_from("<Q", data)
        assert data[8:12] == event_file.masked_crc(data[:8])
        event, data = data[12 : 12 + length], data[12 + length :]
        assert data[:4] == event_file.masked_crc(event)
        found.append(event)
        data = data[4:]
    return found


def fields(message: bytes) -> dict[int, object]:
    """{number: value} of a protocol buffer."""
    found: dict[int, object] = {}

    def varint() -> int:
        nonlocal message
        value = shift = 0
        while True:
            byte, message = message[0], message[1:]
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while message:
        key = varint()
        kind = key & 7
        if kind == event_file.VARINT:
            found[key >> 3] = varint()
            continue
        size = {event_file.DOUBLE: 8, event_file.FLOAT: 4}.get(kind) or varint()
        content, message = message[:size], message[size:]
        shape = {event_file.DOUBLE: "<d", event_file.FLOAT: "<f"}.get(kind)
        found[key >> 3] = struct.unpack(shape, content)[0] if shape else content
    return found


def test_an_event_file_has_every_number_with_its_epoch(tmp_path: pathlib.Path):
    folder = runs.trained(tmp_path / "a", n=300)
    export(folder, "tensorboard", tmp_path / "out")
    export(folder, "tensorboard", tmp_path / "out")  # replaces it
    (path,) = (tmp_path / "out/a").iterdir()
    assert path.name.startswith("events.out.tfevents.")
    first, *events = map(fields, records(path.read_bytes()))
    assert first[3] == b"brain.Event:2"
    found = export_log.read(folder)
    assert len(events) == len(found)
    assert [event[1] for event in events] == sorted(event[1] for event in events)
    assert events[-1][1] == pytest.approx((folder / "log.jsonl").stat().st_mtime)
    for event, one in zip(events, found):
        value = fields(fields(event[5])[1])
        assert (event[2], value[1].decode()) == (one.epoch, one.name)
        assert value[2] == pytest.approx(one.value, rel=1e-6)


# ---- MLflow ----------------------------------------------------------------------------------------------------------


def test_a_file_store_has_settings_metrics_and_state(tmp_path: pathlib.Path):
    folder = runs.trained(tmp_path / "a")
    for _ in range(2):
        export(folder, "mlflow", tmp_path / "mlruns")
    experiment = yaml.safe_load((tmp_path / "mlruns/0/meta.yaml").read_text())
    assert experiment["experiment_id"] == "0" and experiment["name"] == "Default"
    (path,) = (one for one in (tmp_path / "mlruns/0").iterdir() if one.is_dir())
    meta = yaml.safe_load((path / "meta.yaml").read_text())
    assert (meta["run_id"], meta["run_name"], meta["status"]) == (path.name, "a", export_log.FINISHED)
    assert meta["end_time"] - meta["start_time"] == 9000
    assert (path / "params/model").read_text() == "LightGCN"
    assert (path / "tags/llminit.dataset").read_text() == runs.START["dataset"]
    lines = (path / "metrics/train/loss").read_text().splitlines()
    assert [line.split()[2] for line in lines] == ["1", "2", "3", "4", "5", "6"] and lines[1].split()[1] == "0.5"
    assert (path / "metrics/test/ndcg_at_10").read_text().split()[1] == "0.42"
    assert not list(path.rglob("*@*"))


# ---- What is refused -------------------------------------------------------------------------------------------------


def test_what_cannot_be_exported_is_refused_in_one_line(tmp_path: pathlib.Path):
    empty = runs.write(tmp_path / "empty", [runs.START])
    with pytest.raises(Failure, match="empty: there is no number in its log yet"):
        export(empty, "csv", tmp_path / "out")
    with pytest.raises(Failure, match="none: no such folder"):
        export(tmp_path / "none", "csv", tmp_path / "out")
    with pytest.raises(Failure, match="--out -: mlflow is a folder"):
        export_log.main("export-log", [str(runs.trained(tmp_path / "a")), "--format", "mlflow", "--out", "-"])
    (empty / "log.jsonl").write_text('{"event": "epoch", "epoch": 1, "loss": "x", "seconds": "y"}\n')
    with pytest.raises(Failure, match="log.jsonl: is not as llminit writes it"):
        export(empty, "csv", tmp_path / "out")
    assert not (tmp_path / "out").exists()
