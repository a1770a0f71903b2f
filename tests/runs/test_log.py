"""metrics.jsonl: rows of a run that may still write, may have crashed, or was edited."""

import json

import pytest

from pgcontrol.runs.log import TAIL, Display, MetricsLog, last_row, read_rows


def row(steps: int) -> str:
    return json.dumps({"time/total_timesteps": steps, "train/loss": 0.5}) + "\n"


def test_lines_that_are_no_rows_are_left_out(tmp_path):
    file = tmp_path / "metrics.jsonl"
    file.write_bytes(row(64).encode() + b"\xff\xfe\n[1, 2]\nnull\n{}\n" + row(128).encode() + b'{"time/total_ti')
    assert [r["time/total_timesteps"] for r in read_rows(file)] == [64, 128]


def test_the_last_row_is_read_from_the_end(tmp_path):
    file = tmp_path / "metrics.jsonl"
    assert last_row(file) is None
    file.write_text("")
    assert last_row(file) is None
    file.write_text("".join(row(64 * i) for i in range(1, 3001)) + '{"time/total_ti')
    assert file.stat().st_size > 2 * TAIL
    assert last_row(file) == read_rows(file)[-1]


def test_going_on_replaces_what_lies_ahead_and_what_is_no_row(tmp_path):
    file = tmp_path / "metrics.jsonl"
    file.write_text(row(64) + "garbage\n" + row(128) + row(192))
    with MetricsLog(file, start=128) as log:
        log.write(192, {"train/loss": float("nan")})
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    assert [r["time/total_timesteps"] for r in rows] == [64, 128, 192]
    assert rows[-1]["train/loss"] is None


@pytest.mark.parametrize(("left", "said"), [(9_000, "2.5 h"), (130, "2 min"), (40, "40 s"), (-115, "0 s")])
def test_the_time_that_is_left_has_a_unit_and_is_not_negative(left, said, capsys):
    with Display("a run", 100, every=0.0) as display:
        display.update(50, {}, left)
    assert capsys.readouterr().out.splitlines()[-1].endswith(f"left {said}")
