"""Compiling: the fallback without torch's compiler, and trees of tensors in and out of a graph."""

import json
import os
import subprocess
import sys
import warnings
from typing import NamedTuple

import pytest
import torch
from torch import Tensor

import pgcontrol
from pgcontrol.machine import compiler
from pgcontrol.machine.compiler import Compilation, Graph
from pgcontrol.machine.trees import each, leaves, like, rows, split
from pgcontrol.runs.config import configure


class Pair(NamedTuple):
    a: Tensor
    b: Tensor | None = None


class Named(NamedTuple):
    names: tuple[str, ...]
    values: Pair


def broken(*_, **__):
    raise RuntimeError("this release\nhas moved it")


def test_trees_are_taken_apart_and_put_together():
    tree = Named(("x", "y"), Pair(torch.arange(6.0), torch.arange(12).view(6, 2)))
    assert [x.shape for x in leaves(tree)] == [(6,), (6, 2)]
    again = like(tree, iter(leaves(tree)))
    assert again.names == ("x", "y")
    assert again.values.a is tree.values.a
    assert each(lambda x: x + 1, Pair(torch.zeros(2))).b is None
    assert rows(tree, torch.tensor([5, 0])).values.a.tolist() == [5, 0]
    parts = list(split(tree, 4))
    assert [len(part.values.a) for part in parts] == [4, 2]
    assert torch.equal(torch.cat([part.values.b for part in parts if part.values.b is not None]), leaves(tree)[1])


def test_a_graph_gives_what_its_function_gives_names_included():
    def function(pair: Pair, scale: Tensor) -> tuple[Tensor, Named]:
        return pair.a * scale, Named(("twice",), Pair(2 * pair.a))

    compiled = Graph(function)
    for k in (1.0, 2.0):  # traced and compiled with the first
        pair, scale = Pair(torch.full((3,), k)), torch.tensor(k)
        (product, named), (expected, _) = compiled(pair, scale), function(pair, scale)
        assert torch.equal(product, expected)
        assert named.names == ("twice",)
        assert torch.equal(named.values.a, 2 * pair.a)
        assert named.values.b is None


def test_what_cannot_be_compiled_runs_as_it_is_with_one_warning(monkeypatch):
    monkeypatch.setattr("torch._inductor.standalone_compile", broken)
    compilation = Compilation(True)
    double, triple = compilation(lambda x: 2 * x), compilation(lambda x: 3 * x)
    with pytest.warns(
        UserWarning,
        match=r"cannot compile this run, which continues uncompiled and slower: RuntimeError: this release has",
    ):
        assert double(torch.ones(2)).tolist() == [2, 2]
    assert not compilation.on
    with warnings.catch_warnings(action="error"):
        assert double(torch.ones(2)).tolist() == [2, 2]
        assert triple(torch.ones(2)).tolist() == [3, 3]


@pytest.mark.parametrize("algorithm", ["ppo", "npg"])
def test_a_run_that_cannot_be_compiled_is_the_eager_run_and_its_manifest_reports_it(algorithm, tmp_path, monkeypatch):
    settings = {"env": "InvertedPendulum-v5", "algorithm": algorithm, "num_envs": 4, "rollout_steps": 64}
    settings |= {"total_steps": 512, "eval_every": 0, "video": False, "threads": 1}
    monkeypatch.setattr("torch._inductor.standalone_compile", broken)
    with pytest.warns(UserWarning, match="cannot compile"):
        run = pgcontrol.train(configure(settings | {"compile": "on", "run_dir": str(tmp_path / "a")}))
    eager = pgcontrol.train(configure(settings | {"compile": "off", "run_dir": str(tmp_path / "b")}))
    assert torch.equal(run.policy().theta, eager.policy().theta)
    assert json.loads((run.path / "manifest.json").read_text())["compiled"] is False
    with warnings.catch_warnings(action="error"):  # continues as before, and tries nothing
        resumed = pgcontrol.resume(run.path, total_steps=1024)
    assert torch.equal(resumed.policy().theta, pgcontrol.resume(eager.path, total_steps=1024).policy().theta)


@pytest.mark.parametrize("home", ["", "/proc", "a file", "a folder"])
def test_compiled_code_has_a_folder_whatever_the_home(home, tmp_path, monkeypatch):
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    (tmp_path / "a file").touch()
    where = str(tmp_path / home) if home.startswith("a ") else home
    monkeypatch.setattr(os.path, "expanduser", lambda path: path.replace("~", where) if where else path)
    monkeypatch.chdir(tmp_path)
    folder = compiler.cache()
    (folder / "code").touch()
    assert (folder.parent == tmp_path / home / ".cache" / "pgcontrol" / "inductor") == (home == "a folder")
    assert not (tmp_path / "~").exists()


SUMS = """
from pgcontrol.machine.compiler import Graph
import torch
x = torch.linspace(-1, 1, 1003)
function = lambda x: (torch.exp(x) * 2, (x * x).sum())
print(max(float((a - b).abs().max()) for a, b in zip(Graph(function)(x), function(x), strict=True)))
"""


@pytest.mark.slow
@pytest.mark.skipif(torch.backends.cpu.get_cpu_capability() != "AVX512", reason="torch has no wider vectors to hide")
def test_machines_that_share_a_home_do_not_share_code_for_other_processors(tmp_path):
    """torch would use code for the first processor's vectors on the second: NaN, and a sum that is wrong by half."""
    here = {k: v for k, v in os.environ.items() if k != "TORCHINDUCTOR_CACHE_DIR"} | {"XDG_CACHE_HOME": str(tmp_path)}
    for processor in ({}, {"PGCONTROL_PORTABLE": "1"}):
        done = subprocess.run(
            [sys.executable, "-c", SUMS], env=here | processor, capture_output=True, text=True, timeout=300, check=True
        )
        assert float(done.stdout) < 1e-3, done.stdout
    assert len([*(tmp_path / "pgcontrol" / "inductor").iterdir()]) == 2
