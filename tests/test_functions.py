"""The functions with the commands' names: same settings, nothing printed, results as objects, names of their own."""

import dataclasses
import importlib
import inspect
import json
import math
import pkgutil
import subprocess
import sys

import pytest

import pgcontrol
from pgcontrol import arguments
from pgcontrol.options import REQUIRED, InputError
from tests.sweep.worlds import SWEEP
from tests.test_cli import run as command
from tests.training.test_train import small

FUNCTIONS = {
    "evaluate": arguments.EvaluateOptions,
    "video": arguments.VideoOptions,
    "diagnose": arguments.DiagnoseOptions,
    "export": arguments.ExportOptions,
    "sim2sim": arguments.Sim2SimOptions,
    "record": arguments.RecordOptions,
    "tokenize": arguments.TokenizeOptions,
    "compare": arguments.CompareOptions,
    "replay": arguments.ReplayOptions,
    "report": arguments.ReportOptions,
}
OPTIONS = [(name, field) for name, options in FUNCTIONS.items() for field in dataclasses.fields(options)]
SHOWN = {"json", "open", "pending", "quiet", "sweeps"}  # what a command shows, and of how many sweeps


def names(value) -> str:
    return value if isinstance(value, str) else value.name  # of an option


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> pgcontrol.Run:
    folder = tmp_path_factory.mktemp("functions") / "run"
    return pgcontrol.train(small(env="Fork-v0", run_dir=str(folder), total_steps=512))


def test_no_public_name_is_that_of_a_module():
    assert not set(pgcontrol.__all__) & {module.name for module in pkgutil.iter_modules(pgcontrol.__path__)}


@pytest.mark.slow
@pytest.mark.parametrize("first", ["module", "function"])
def test_functions_and_modules_in_any_order(first):
    """In a fresh process: importing the modules behind a function hides none, and using one hides no module."""
    homes = "import pgcontrol.rendering.clips, pgcontrol.exporting.export, pgcontrol.reporting.compare"
    used = f"assert all(callable(getattr(pgcontrol, name)) for name in {list(FUNCTIONS)})"
    lines = ["import pgcontrol", *((homes, used, homes) if first == "module" else (used, homes, used))]
    lines.append(
        "from pgcontrol import compare, export, report, video; pgcontrol.rendering.clips.video is video or 1 / 0"
    )
    subprocess.run([sys.executable, "-c", "\n".join(lines)], check=True, timeout=60)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_command_takes_what_its_function_takes(name):
    module = importlib.import_module(f"pgcontrol.commands.{'eval' if name == 'evaluate' else name}")
    theirs = {field.name for field in dataclasses.fields(module.Options)}
    ours = {field.name for field in dataclasses.fields(FUNCTIONS[name])}
    assert theirs - ours <= SHOWN
    assert ours - theirs <= {"sweep", "quiet"}


@pytest.mark.parametrize(("name", "field"), OPTIONS, ids=names)
def test_every_wrong_value_is_named(name, field):
    function = getattr(pgcontrol, name)
    needed = {f.name: "x" for f in dataclasses.fields(FUNCTIONS[name]) if f.default is REQUIRED}
    needed |= {"episodes": 1} if "episodes" in needed else {}
    wrong = [object()]
    for limit, bound in field.metadata["limits"].items():
        if bound is not None and math.isfinite(bound):
            wrong.append({"least": bound - 1, "most": bound + 1, "above": bound, "below": bound}[limit])
    wrong += ["nonsense"] if field.metadata["choices"] else []
    for value in wrong:
        with pytest.raises(InputError, match=f"^{field.name} = .*: must be "):
            function(**needed | {field.name: value})


@pytest.mark.parametrize("name", FUNCTIONS)
def test_what_is_missing_or_unknown_is_named(name):
    function, fields = getattr(pgcontrol, name), dataclasses.fields(FUNCTIONS[name])
    needed = [field.name for field in fields if field.default is REQUIRED]
    with pytest.raises(InputError, match=f"^{name} needs {', '.join(needed)}$"):
        function()
    with pytest.raises(InputError, match=f"^{name} takes {len(fields)} positional arguments"):
        function(*range(20))
    assert f"\n    {needed[0]}: " in function.__doc__
    assert inspect.signature(function).return_annotation is not None
    if name != "diagnose" and name != "tokenize":  # others have further settings, which they check when they run
        with pytest.raises(InputError, match=rf"unknown setting '{needed[0]}s?x'; did you mean '{needed[0]}'\?"):
            function(**dict.fromkeys(needed, "1"), **{f"{needed[0]}x": 1})


def test_evaluate_says_what_the_command_says(trained, capsys):
    result = pgcontrol.evaluate(trained.path, episodes=3, seed=1)
    assert capsys.readouterr() == ("", "")
    _, out, _ = command(capsys, "eval", str(trained.path), "--episodes", "3", "--seed", "1", "--json")
    said = json.loads(out)
    assert said["checkpoint"] == str(result.checkpoint)
    for agent, row in result.summary().items():
        assert said[agent]["eval/mean_reward"] == row["eval/mean_reward"] == result.agents[agent].returns.mean()
    rows = result.rows()
    assert [(row["agent"], row["seed"]) for row in rows] == [(a, s) for a in ("mode", "sampled") for s in (1, 2, 3)]
    assert rows[0].keys() == {"agent", "seed", "return", "length", "route"}
    assert set(pgcontrol.evaluate(trained.path, episodes=1, agent="zero").agents) == {"zero"}


def test_diagnose_gives_verdicts_and_facts(trained, capsys):
    found = pgcontrol.diagnose(trained.path, share=0.5)
    assert capsys.readouterr() == ("", "")
    written = json.loads((trained.path / "diagnosis.json").read_text())
    assert (found.verdict, len(found.verdicts)) == (written["verdict"], len(written["verdicts"]))
    assert found.facts["routes"]["success"] == written["routes"]["success"]
    assert found.proofs == []
    with pytest.raises(InputError, match=r"unknown setting 'branchs'; did you mean 'branches'"):
        pgcontrol.diagnose(trained.path, branchs=3)
    with pytest.raises(InputError, match=r"share = 2.0: must be less than 1"):
        pgcontrol.diagnose(trained.path, share=2)


def test_record_clone_tokenize_and_export(trained, tmp_path, capsys):
    made = pgcontrol.record("Fork-v0", tmp_path / "demos", 10)
    assert (made.episodes, made.whole, made.recorded.returns.shape) == (10, True, (10,))
    assert pgcontrol.record(trained.path, tmp_path / "own", 2, mode=True).recorded.lengths.min() > 0
    tokens = pgcontrol.tokenize(made.path, tmp_path / "tokens", kind="rvq", codes=8, levels=2)
    assert (tokens.bits, tokens.tokenizer.name) == (6.0, "rvq")
    assert 0 < tokens.error < tokens.deviation
    with pytest.raises(InputError, match=r"unknown setting 'level'; did you mean 'levels'"):
        pgcontrol.tokenize(made.path, tmp_path / "more", kind="rvq", level=2)
    exported = pgcontrol.export(trained.path, tmp_path / "policy.onnx")
    assert exported.path.stat().st_size
    assert json.loads(exported.description.read_text())["parity"]["observations"] == exported.parity.observations
    with pytest.raises(InputError, match="exists already"):
        pgcontrol.export(trained.path, tmp_path / "policy.onnx")
    assert capsys.readouterr() == ("", "")


@pytest.mark.slow
def test_a_video_is_one_run_or_several(trained, tmp_path, backend, capsys):
    settings = {"seconds": 0.2, "size": "160x120"}
    made = pgcontrol.video(trained.path, tmp_path / "one.mp4", **settings)
    assert (made.path, made.frames > 1) == (tmp_path / "one.mp4", True)
    pgcontrol.video((trained.path, trained.path), tmp_path / "two.mp4", sampled=True, **settings)
    with pytest.raises(InputError, match="exists already"):
        pgcontrol.video(trained.path, made.path, **settings)
    assert capsys.readouterr() == ("", "")


@pytest.mark.slow
def test_a_sweep_runs_and_is_reported(tmp_path, capfd):
    (tmp_path / "heads.yaml").write_text(SWEEP)
    planned = pgcontrol.compare(tmp_path / "heads.yaml", runs=tmp_path / "runs", dry_run=True)
    assert len(planned.missing) == 4
    assert planned.seconds is not None
    assert planned.page is None
    with pytest.raises(InputError, match="no results for"):
        pgcontrol.report(tmp_path / "heads.yaml")
    found = pgcontrol.compare(tmp_path / "heads.yaml", jobs=2, runs=tmp_path / "runs", clips="none")
    assert (found.missing, found.failed) == ([], {})
    assert found.page == tmp_path / "heads.html"
    rows = found.rows()
    assert [row["seed"] for row in rows if row["task"] == "Reacher-v5"] == [0, 1]
    assert all(isinstance(row["return"], float) for row in rows)
    assert {row["arm"] for row in found.summary()} == {"gaussian", "bins bins=2", "bins bins=3"}
    assert pgcontrol.report(tmp_path / "heads.yaml", clips="none").rows() == rows
    assert capfd.readouterr() == ("", "")


def test_a_run_is_opened_from_its_folder(trained):
    again = pgcontrol.Run.open(str(trained.path))
    assert again == trained
    assert again.metrics()[-1]["time/total_timesteps"] == 512
    assert again.policy().theta.equal(trained.policy().theta)
    with pytest.raises(InputError, match="not a run folder"):
        pgcontrol.Run.open("nowhere")
