"""The command line: one clear line and exit code 2 for bad input, nothing overwritten."""

import os
import pkgutil
import subprocess
import sys

import pgcontrol_envs
import pytest
from pgcontrol_envs.plugins import PluginError

from pgcontrol import cli, commands, parts
from pgcontrol.runs import catalog


def run(capsys, *words: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as caught:
        cli.main(words)
    captured = capsys.readouterr()
    return int(caught.value.code or 0), captured.out, captured.err


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("trian", "unknown command 'trian'; did you mean 'train'?"),
        ("", "name a command: pgcontrol COMMAND ...; expected one of: bench, "),
        ("--quiet train", "name a command"),
        ("train", "env is missing: name a task, such as HalfCheetah-v5; `pgcontrol list` shows all of them"),
        ("train --seed 3 --env none", "env is missing: name a task"),
        ("train HalfCheeta-v5", "unknown env 'HalfCheeta-v5'; did you mean 'HalfCheetah-v5'?"),
        ("train gym:CartPole-v1", "gym:CartPole-v1: expected a Box as action space, got Discrete(2)"),
        ("train gym:Pendulun-v1", "unknown env 'gym:Pendulun-v1'"),
        ("train --head gausian", "unknown head 'gausian'; did you mean 'gaussian'?"),
        ("train Hopper-v5 --head binned --head.bins 1", "head.bins = 1: must be at least 2"),
        (
            "train Hopper-v5 --head.bins 4",
            "unknown setting 'head.bins' of head 'gaussian'; expected one of: head.initial_std",
        ),
        ("train Hopper-v5 --clip 0.1", "unknown setting 'clip'; did you mean 'algorithm.clip'?"),
        ("train Hopper-v5 --num-envs -3", "num_envs = -3: must be at least 1"),
        ("train Hopper-v5 --num-envs=many", "num_envs = 'many': must be a whole number"),
        ("train Hopper-v5 --algorithm.minibatch 5000", "algorithm.minibatch = 5000: must be at most"),
        ("train Hopper-v5 Ant-v5", "unexpected argument 'Ant-v5'"),
        ("train Hopper-v5 --seed", "--seed needs a value"),
        ("train Hopper-v5 --head", "--head needs a value"),
        ("train Hopper-v5 --head.initial_std --seed 3", "--head.initial-std needs a value"),
        ("train Hopper-v5 --quite", "unknown argument '--quite'; did you mean '--quiet'?"),
        ("train Hopper-v5 --no-video --no-vide", "unknown argument '--no-vide'; did you mean '--video'?"),
        ("train Hopper-v5 --no-seed", "unknown argument '--no-seed'; did you mean '--seed'?"),
        ("train Hopper-v5 --zzz", "unknown argument '--zzz'; see --help"),
        ("train Hopper-v5 --head binned --head.binz", "unknown argument '--head.binz'; did you mean '--head.bins'?"),
        ("diagnose . --branchs", "unknown argument '--branchs'; did you mean '--branches'?"),
        ("tokenize . --lenght", "unknown argument '--lenght'; see --help"),
        ("train --config nowhere.yaml", "nowhere.yaml: No such file or directory"),
        ("resume nowhere", "nowhere is not a run folder: it does not exist"),
        ("resume . --total-steps 0", "--total-steps = 0: must be at least 1"),
        ("eval nowhere", "nowhere: no such run or checkpoint folder"),
        ("eval . --episode 3", "unknown argument '--episode'; did you mean '--episodes'?"),
        ("eval . --agent randm", "--agent = 'randm': must be one of policy, random, zero; did you mean 'random'?"),
        ("eval . x", "unexpected argument 'x'"),
        ("list head", "unknown KIND 'head'; did you mean 'heads'?"),
        ("eval", "eval needs RUN; see `pgcontrol eval --help`"),
        ("video nowhere --out x.mp4", "nowhere: no such run or checkpoint folder"),
        ("video nowhere --out x.mp4 --size big", "--size big: must look like 640x480"),
        ("video nowhere --out x.mp4 --seconds -1", "--seconds = -1.0: must be greater than 0"),
        ("video nowhere --out x.gif", "--out x.gif: must end in .mp4"),
        ("play nowhere --port 70000", "--port = 70000: must be at most 65535"),
        ("eval nowhere --seed -1", "--seed = -1: must be at least 0"),
        ("diagnose . --branchs 3", "unknown setting 'branchs'; did you mean 'branches'?"),
        ("bench trian", "WHAT = 'trian': must be one of env, train, heads, scale, sb3; did you mean"),
        ("bench train --heads gausian", "unknown head 'gausian'; did you mean 'gaussian'?"),
        ("bench env --envs Hoper-v5", "unknown task 'Hoper-v5'; did you mean 'Hopper-v5'?"),
        ("train gym:HalfCheetah-v2", "unknown env 'gym:HalfCheetah-v2'"),
        ("report .", ". is a folder; give the YAML file of a sweep"),
        ("export . --out .", "--out .: must be a file, such as policy.onnx"),
    ],
)
def test_bad_input(words, line, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, error = run(capsys, *words.split())
    assert code == 2
    assert error.startswith(f"pgcontrol: {line}"), error
    assert error.count("\n") == 1
    assert out == ""
    assert list(tmp_path.iterdir()) == []


def test_a_setting_that_is_true_or_false_needs_no_value(capsys, monkeypatch):
    seen = []
    monkeypatch.setattr("pgcontrol.commands.train.run", lambda options, settings: seen.append(settings) or 0)
    assert run(capsys, "train", "Ant-v5", "--symmetric", "--no-video", "--no-env.terminate-when-unhealthy")[0] == 0
    assert seen[0]["symmetric"] == "true"
    assert seen[0]["video"] == "false"
    assert seen[0]["env.terminate_when_unhealthy"] == "false"


def test_a_video_that_exists_is_unchanged(capsys, tmp_path):
    out = tmp_path / "clip.mp4"
    out.write_text("mine")
    code, _, error = run(capsys, "video", "nowhere", "--out", str(out))
    assert code == 2
    assert "exists already" in error
    assert out.read_text() == "mine"


def test_help_lists_every_setting_of_the_chosen_head(capsys):
    code, out, _ = run(capsys, "train", "--head", "binned", "--help")
    assert code == 0
    assert "--head.bins" in out
    assert "--algorithm.clip" in out
    assert "--total-steps" in out
    assert "--head.min-std" not in out
    assert "recommended for HalfCheetah-v5 (name a task to see its own)" in out
    assert "[must be named]" in " ".join(out.split())


@pytest.mark.parametrize("words", [["--help"], ["eval", "--help"], ["compare", "-h"], ["--version"]])
def test_help_is_quick(words):
    script = f"import sys, pgcontrol.cli as c\ntry: c.main({words})\nexcept SystemExit: print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert not {"torch", "mujoco", "numpy"} & set(done.stdout.split())


def test_every_command_has_help(capsys):
    code, everything, _ = run(capsys, "--help")
    assert code == 0
    names = [module.name for module in pkgutil.iter_modules(commands.__path__)]
    for name in names:
        assert f"  {name} " in everything
        code, out, error = run(capsys, name, "--help")
        assert (code, error) == (0, "")
        assert out.startswith(f"usage: pgcontrol {name} ")
        assert "--help" in out


def test_list_names_everything(capsys):
    code, out, _ = run(capsys, "list")
    assert code == 0
    for name in ("HalfCheetah-v5", "gym:ID", "gaussian", "binned", "ppo", "mse"):
        assert name in out
    for kind, table in catalog.KINDS.items():
        code, part, _ = run(capsys, "list", f"{kind}s")
        assert (code, part in out) == (0, True)
        assert all(f"  {name} " in part for name in table())
        assert part.count("\n") <= len(table()) + 3  # the titles and gym:ID


def test_train_eval_by_hand(capsys, tmp_path):
    path = tmp_path / "run"
    words = "--total-steps 512 --num-envs 4 --rollout-steps 64 --algorithm.minibatch 64 --eval-every 0 --threads 1"
    code, out, _ = run(capsys, "train", "Reacher-v5", "--head", "binned", "--run-dir", str(path), *words.split())
    assert code == 0
    assert "512 / 512" in out  # plain lines: the output is no terminal
    code, out, _ = run(capsys, "eval", str(path), "--episodes", "3", "--json")
    assert code == 0
    import json

    report = json.loads(out)
    assert report["episodes"] == 3
    assert {"mode", "sampled"} <= set(report)
    for agent in ("random", "zero"):
        code, out, _ = run(capsys, "eval", str(path), "--episodes", "3", "--agent", agent)
        assert code == 0
        assert agent in out
    code, _, error = run(capsys, "resume", str(path))
    assert code == 2
    assert "has finished" in error


SHORT = ("--total-steps", "1024", "--num-envs", "4", "--rollout-steps", "64", "--algorithm.minibatch", "64")
QUICK = (*SHORT, "--eval-every", "0", "--threads", "1")


@pytest.mark.slow
def test_a_reader_that_goes_away_does_not_end_the_run(tmp_path):
    path = tmp_path / "run"
    words = [sys.executable, "-m", "pgcontrol", "train", "Reacher-v5", "--run-dir", str(path), *QUICK]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout
    process.stdout.close()
    _, error = process.communicate(timeout=60)
    assert process.returncode == 0, error
    assert '"status": "finished"' in (path / "manifest.json").read_text()


@pytest.mark.slow
def test_a_graphics_setting_that_means_nothing_does_not_touch_training(tmp_path):
    words = [sys.executable, "-m", "pgcontrol", "train", "Reacher-v5", "--run-dir", str(tmp_path / "run"), *QUICK]
    env = os.environ | {"MUJOCO_GL": "nonsense"}
    done = subprocess.run(words, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_a_terminal_that_is_not_utf_8_shows_what_it_can(tmp_path):
    ascii_only = os.environ | {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    (tmp_path / "s.yaml").write_text(
        "question: Für σ?\nbudget: 2048\narms: {a: {}}\ngrid: {env: x, seed: 1}\n", "utf-8"
    )

    def said(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "pgcontrol", *words]
        return subprocess.run(command, capture_output=True, text=True, env=ascii_only, cwd=tmp_path, timeout=60)

    shown = said("train", "--help")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "?" in shown.stdout
    assert "unknown env 'x'" in said("compare", "s.yaml", "--dry-run").stderr


@pytest.mark.parametrize(
    "words",
    [
        "play Hopper-v5 --agent zero",
        "record Fork-v0 --out d --episodes 2",
        "bench env --envs Hopper-v5",
        "train Hopper-v5",
    ],
)
def test_a_plugin_with_a_task_whose_name_is_taken_is_one_line(words, capsys, monkeypatch):
    def taken():
        raise PluginError("plug-in dup.py: the name 'Hopper-v5' is taken")

    monkeypatch.setattr(pgcontrol_envs, "catalog", taken)
    code, _, error = run(capsys, *words.split())
    assert (code, error) == (2, "pgcontrol: plug-in dup.py: the name 'Hopper-v5' is taken\n")


@pytest.mark.usefixtures("without_plugins")
def test_a_printed_command_contains_the_plugins_in_use(monkeypatch, tmp_path):
    assert parts.command("compare", tmp_path / "a b.yaml") == f"pgcontrol compare '{tmp_path}/a b.yaml'"
    monkeypatch.setenv("PGCONTROL_PLUGINS", str(tmp_path / "own.py"))
    monkeypatch.setenv(parts.ACCEPT, "1")
    assert parts.command("compare", "x.yaml") == f"pgcontrol compare x.yaml --plugin {tmp_path}/own.py --accept-changed"
    assert parts.command("resume", "run", plugins={}) == "pgcontrol resume run"
