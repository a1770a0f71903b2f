"""Commands and trainings that nobody thought of, carried out: an answer or one line, and no file where none belongs.

`test_fuzz.py` reads many more words than can be carried out; here each is, on a run, a dataset and a sweep of a few
kilobytes. `make fuzz` tries 2,000, others each time; the tests 150, the same ones each time.
"""

import dataclasses
import json
import os
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import pgcontrol
from pgcontrol import cli
from pgcontrol.options import InputError
from pgcontrol.runs import catalog
from pgcontrol.runs.cloning import CloneConfig
from pgcontrol.runs.config import configure, nested
from tests.faults.test_fuzz import CONFIG, MODULES, NAMES, flags_of, is_one_line, plain, typed, words
from tests.faults.test_leaves import OLD, changed, leaves

pytestmark = pytest.mark.slow
COUNT = max(50, int(os.environ.get("PGCONTROL_FUZZ", "1500")) // 30)
carried_out = settings(
    max_examples=COUNT,
    phases=(Phase.explicit, Phase.generate),  # what fails is small as it is
    deadline=None,
    database=None,
    derandomize="PGCONTROL_FUZZ" not in os.environ,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.function_scoped_fixture],
)
TARGETS = ["run", "dataset", "tokenizer", "clone", "sweep.yaml", "Hopper-v5", "Fork-v0"]
OUT = ["made", "made.onnx", "new/made.onnx", "run", "/dev/null/x", "made.mp4"]
# what makes each command end soon, and the flags that would undo that
SOON = {
    "diagnose": [],
    "doctor": [],
    "eval": ["--episodes", "1"],
    "export": [],
    "new": [],
    "record": ["--episodes", "1"],
    "report": [],
    "resume": [],
    "sim2sim": ["--episodes", "1"],
    "tokenize": ["--steps", "64"],
    "check": [],
}
LONG = {"open", "branches", "branch_steps", "help", "episodes", "steps", "total_steps", "jobs", "plugin"}
TINY = {"env": "Reacher-v5", "total_steps": 64, "num_envs": 2, "rollout_steps": 16, "hidden": [4], "threads": 1}
TINY |= {"algorithm.minibatch": 32, "eval_every": 0, "video": False, "compile": "off", "run_dir": "made"}
CLONED = ("minibatch", "held_out", "temperature", "patience", "seed", "decay", "learning_rate", "clip_actions")
ODD = st.one_of(st.integers(-1, 40), st.floats(-1, 2), words)
PARTS = {"head": catalog.heads, "algorithm": catalog.algorithms, "critic": catalog.critics, "trunk": catalog.trunks}


def listing(folder: Path) -> dict[str, int]:
    """Everything below a folder, by path, with the sizes of files."""
    return {str(file.relative_to(folder)): file.stat().st_size * file.is_file() for file in folder.rglob("*")}


class Place:
    """A working folder with all kinds of files, made again after a test that wrote to it."""

    def __init__(self, root: Path):
        self.root, self.work = root, root / "work"
        (root / "home").mkdir()
        self.renew()

    def renew(self) -> None:
        os.chdir(self.root)
        shutil.rmtree(self.work, ignore_errors=True)
        self.work.mkdir()
        for name in ("run", "dataset", "tokenizer", "clone"):
            shutil.copytree(OLD / name, self.work / name)
        for name in ("sweep.yaml", "sweep.jsonl"):
            shutil.copyfile(OLD / "sweep" / name, self.work / name)
        os.chdir(self.work)
        self.before = listing(self.work)

    def require(self, refused: bool) -> None:
        """No file next to the working folder; after an error, none in it either."""
        # torch makes the folder of its cache as it is imported
        outside = [name for name in listing(self.root) if not name.startswith(("work", "home/torchinductor"))]
        assert outside == ["home"]
        if refused:
            assert listing(self.work) == self.before
        elif listing(self.work) != self.before:
            self.renew()


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("HOME", "TMPDIR"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    monkeypatch.setattr("tempfile.tempdir", None)
    return Place(tmp_path)


@st.composite
def lines(draw) -> list[str]:
    """A command with its target, mostly an existing one, and its flags with values of any kind."""
    name = draw(st.sampled_from(sorted(SOON)))
    flags = [flag for flag in flags_of(MODULES[name].Options, cli.CommonOptions) if flag not in LONG]
    usual = {"report": "sweep.yaml", "tokenize": "dataset"}.get(name, "run")
    target = usual if draw(st.integers(0, 3)) else draw(st.sampled_from(TARGETS) | words)
    said = ["new", draw(st.sampled_from(["task", "head"])), "Own-v0"] if name == "new" else [name, target]
    if "out" in flags and draw(st.integers(0, 3)):
        said += ["--out", draw(st.sampled_from(OUT))]
        flags.remove("out")
    for _ in range(max(0, draw(st.integers(-2, 2)))):
        said.append("--" + draw(st.sampled_from(flags or ["quiet"])).replace("_", "-"))
        said += [draw(st.one_of(words, st.sampled_from(TARGETS)))] if draw(st.booleans()) else []
    return said + SOON[name]


def test_commands_are_carried_out(place):
    outcomes = Counter()

    @carried_out
    @given(lines())
    def law(said):
        code, words = typed(said)
        assert code in (0, 1, 2), (said, words)
        assert code != 2 or sum(line.startswith("pgcontrol: ") for line in words.splitlines()) == 1, words
        place.require(refused=code == 2)
        outcomes[said[0], code] += 1

    law()
    done = {name for name, code in outcomes if code != 2}
    assert len(done) >= 5, outcomes


def within(field: dataclasses.Field) -> st.SearchStrategy:
    """Values of an option near its limits, which are mostly valid, and others."""
    meta = field.metadata
    if meta["choices"] or isinstance(field.default, bool):
        return st.sampled_from(meta["choices"] or (True, False))
    limits = {name: bound for name, bound in meta["limits"].items() if bound is not None}
    low = limits.get("least", limits.get("above", -1))
    high = min(low + 20, limits.get("most", limits.get("below", low + 20)))
    numbers = st.floats(low, high) if isinstance(field.default, float) else st.integers(int(low), int(high))
    return st.one_of(numbers, numbers, numbers, ODD)


@st.composite
def trainings(draw) -> dict:
    """Settings of existing parts with their options."""
    said = {part: draw(st.sampled_from(sorted(table()))) for part, table in PARTS.items() if draw(st.booleans())}
    for part, name in list(said.items()):
        for field in draw(
            st.lists(st.sampled_from(dataclasses.fields(PARTS[part]()[name].Options) or [None]), max_size=2)
        ):
            if field is not None:
                said[f"{part}.{field.name}"] = draw(within(field))
    if not draw(st.integers(0, 3)):
        said[draw(st.sampled_from([name for name in NAMES if name not in TINY]))] = draw(ODD)
    return said


def carry_out(place, make: Callable[[], object], outcomes: Counter) -> None:
    try:
        make()
    except InputError as error:
        is_one_line(error)
        place.require(refused=True)
        outcomes["refused"] += 1
    except FloatingPointError as error:  # it diverged
        is_one_line(error)
        place.require(refused=False)
        outcomes["diverged"] += 1
    else:
        place.require(refused=False)
        outcomes["done"] += 1


def test_trainings_are_carried_out(place):
    outcomes = Counter()

    @carried_out
    @given(trainings())
    def law(said):
        carry_out(place, lambda: pgcontrol.train(TINY | said, on_update=lambda row: True), outcomes)

    law()
    assert outcomes["done"] > COUNT / 10, outcomes
    assert outcomes["refused"] > COUNT / 20, outcomes


def test_clones_are_carried_out(place):
    outcomes, tiny = Counter(), {"dataset": "dataset", "steps": 3, "eval_episodes": 0, "compile": "off"}
    tiny |= {"run_dir": "made", "hidden": [4]}
    own = [field for field in dataclasses.fields(CloneConfig) if field.name in CLONED]

    @carried_out
    @given(st.sampled_from(sorted(catalog.heads())), st.lists(st.sampled_from(own), max_size=2), st.data())
    def law(head, fields, data):
        said = {"head": head} | {field.name: data.draw(within(field)) for field in fields}
        carry_out(place, lambda: pgcontrol.clone(tiny | said), outcomes)

    law()
    assert outcomes["done"] > COUNT / 10, outcomes


def test_reports_of_damaged_rows_are_carried_out(place):
    """A row with a value of another type, also in its maps and curves, is named, or the page is still written."""
    rows = [json.loads(line) for line in (OLD / "sweep" / "sweep.jsonl").read_text().splitlines()]
    for row in rows:
        row.pop("checksum", None)
    places = [list(leaves(row)) for row in rows]
    outcomes = Counter()

    @carried_out
    @given(st.integers(0, len(rows) - 1), st.data(), st.one_of(ODD, plain))
    def law(number, data, value):
        path = data.draw(st.sampled_from(places[number]))
        damaged = [changed(row, path, value) if k == number else row for k, row in enumerate(rows)]
        Path("sweep.jsonl").write_text("".join(json.dumps(row, default=str) + "\n" for row in damaged))
        place.before = listing(place.work)
        carry_out(place, lambda: pgcontrol.report(Path("sweep.yaml")), outcomes)

    law()
    assert outcomes["done"], outcomes
    assert outcomes["refused"], outcomes


def test_a_tiny_training_is_one(place):
    """Without a change, the input of the other tests works."""
    assert nested(configure(TINY)).keys() == CONFIG.keys()
    assert pgcontrol.train(TINY).status == "finished"
