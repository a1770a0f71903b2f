"""A study made by hand with a known answer, and a browser to read its page."""

import json
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import yaml

import pgcontrol
from pgcontrol.rendering.encoding import encode
from pgcontrol.reporting.page import write
from pgcontrol.reporting.queries import Queries
from pgcontrol.sweep import results
from pgcontrol.sweep.cell import Key
from pgcontrol.sweep.row import Row
from pgcontrol.sweep.sweep import Sweep, read_sweep
from pgcontrol.training.behaviour import look

YAML = """
question: Does <b>a second bin</b> help?
budget: 1000
arms:
  gaussian: {head: gaussian}
  bins: {head: binned}
  mixture: {head: mixture}
  beta: {head: beta}
baseline: gaussian
plots: [train/kl]
grid:
  - {env: Fork-v0, seed: 5, arm: [gaussian, bins, mixture]}
  - {env: Fork-v0, seed: 1, arm: [beta]}
  - {env: HalfCheetah-v5, seed: 4, arm: [gaussian, bins]}
"""
HOSTILE = "beta|[red]<img src=x onerror=console.error(1)>"
LIGHT = {"viewport": {"width": 1280, "height": 900}, "color_scheme": "light"}
SCORES = {
    ("Fork-v0", "gaussian"): [100.0, 101, 102, 103, 104],
    ("Fork-v0", "bins"): [200.0, 201, 202, 203, 204],
    ("Fork-v0", "mixture"): [10.0, 11, 12, 13, 14],
    ("Fork-v0", "beta"): [150.0],
    ("HalfCheetah-v5", "gaussian"): [1000.0, 1100, 1200],  # of four seeds, one is missing
    ("HalfCheetah-v5", "bins"): [900.0, 1050, 1150, 1300],
}


@pytest.fixture(scope="session")
def glance(tmp_path_factory):
    """What a run of 256 steps looks like."""
    run = tmp_path_factory.mktemp("run") / "fork"
    small = {"num_envs": 4, "rollout_steps": 32, "algorithm.minibatch": 64, "algorithm.epochs": 1, "compile": "off"}
    quiet = {"video": False, "eval_every": 0, "threads": 1, "checkpoint_every": 128, "total_steps": 256}
    pgcontrol.train({"env": "Fork-v0", "run_dir": str(run)} | small | quiet)
    return look(run)


@pytest.fixture(scope="session")
def sweep(tmp_path_factory, glance) -> Sweep:
    """The YAML and its rows."""
    return _study(tmp_path_factory.mktemp("study") / "study.yaml", glance)


@pytest.fixture(scope="session")
def hostile(tmp_path_factory, glance) -> Sweep:
    """The same, with an arm whose name would be markup if it were not escaped."""
    return _study(tmp_path_factory.mktemp("hostile") / "study.yaml", glance, beta=HOSTILE)


def _study(path: Path, glance: dict, **names: str) -> Sweep:
    tree = yaml.safe_load(YAML)
    tree["arms"] = {names.get(arm, arm): settings for arm, settings in tree["arms"].items()}
    for grid in tree["grid"]:
        grid["arm"] = [names.get(arm, arm) for arm in grid["arm"]]
    path.write_text(yaml.safe_dump(tree, sort_keys=False))
    found = read_sweep(path)
    settings = {cell.key: cell.settings for cell in found.cells}
    for (env, known), scores in SCORES.items():
        arm = names.get(known, known)
        for seed, score in enumerate(scores):
            row = _row(env, arm, seed, score, settings[Key(env, arm, seed)]) | glance
            results.add(found, Row.read(row if env == "Fork-v0" else row | {"routes": None}))
    return found


def _row(env: str, arm: str, seed: int, score: float, settings: dict) -> dict:
    steps = np.arange(20, 1001, 20)
    grown = score * (1 - np.exp(-steps / 300))
    return {
        "env": env,
        "arm": arm,
        "seed": seed,
        "settings": settings,
        "return": score,
        "error": 0.45,
        "episodes": 100,
        "evaluation_seed": 0,
        "sampled": 0.9 * score,
        "training": float(grown[-1]),
        "diverged": arm == "mixture" and seed == 0,
        "verdict": "sharp" if arm == "mixture" else None,
        "steps": 1000,
        "seconds": 10.0 * (3 if arm == "bins" else 1),
        "curves": {
            "steps": steps.tolist(),
            "rollout/ep_rew_mean": [None, *grown[1:].tolist()],
            "train/std": (0.5 * np.exp(-steps / (200 + 10 * seed))).tolist(),
            "train/kl": (0.01 + 0.001 * np.sin(steps / 50 + seed)).tolist(),
        },
        "spread": {"steps": steps.tolist(), "joints": [(0.5 * np.exp(-steps / t)).tolist() for t in (100, 400)]},
        "provenance": {"versions": {"torch": "2.13"}, "seeds": {"weights": 1}, "compiled": False},
        "revision": "abc",
        "date": "2026-01-01",
    }


@pytest.fixture(scope="session")
def page(hostile):
    """The page, with two videos of different lengths."""
    frames = [np.full((48, 64, 3), 90 + k, np.uint8) for k in range(30)]
    clips = {}
    for arm, count in (("gaussian", 30), ("bins", 20)):
        file = hostile.path.with_name(f"{arm}.mp4")
        encode(file, iter(frames[:count]), Fraction(10), crf=20)
        clips[Key("Fork-v0", arm, 0)] = file
    return write(Queries(hostile, results.read(hostile), hostile.path.parent / "runs"), clips)


@pytest.fixture
def tab(browser, page) -> Iterator:
    """The page in that browser."""
    context = browser.new_context(**LIGHT)
    opened = context.new_page()
    opened.goto(page.as_uri())
    yield opened
    context.close()


def wait_until(tab, condition: str) -> None:
    """Waits until a condition in JavaScript holds; the page's policy does not allow Playwright's own function."""
    until = time.monotonic() + 30
    while not tab.evaluate(condition):
        assert time.monotonic() < until, condition
        tab.wait_for_timeout(50)


def rows_of(sweep: Sweep) -> list[dict]:
    return [json.loads(line) for line in sweep.results.read_text().splitlines()]
