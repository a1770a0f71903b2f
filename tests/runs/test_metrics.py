"""The table of metrics has exactly the metrics that runs log."""

import pytest

import pgcontrol
from pgcontrol.runs import catalog, metrics
from pgcontrol.runs.config import configure
from pgcontrol.training.learner import Learner

# one update of every kind: episodes end within it, and it is large enough for the noise scale
SHORT = {
    "env": "Fork-v0",
    "num_envs": 8,
    "rollout_steps": 64,
    "total_steps": 512,
    "hidden": "8",
    "eval_every": 0,
    "eval_episodes": 2,
    "threads": 1,
    "video": False,
    "compile": "off",
}
# of the algorithms that have it
QUICK = {
    "algorithm.minibatch": 256,
    "algorithm.epochs": 1,
    "algorithm.critic_epochs": 1,
    "algorithm.entropy_target": 0.0,
    "algorithm.group_size": 4,
    "algorithm.warmup": 64,
    "algorithm.replay_ratio": 1,
}


def update(**settings) -> dict[str, float]:
    row = catalog.algorithms()[settings.get("algorithm", "ppo")]
    names = {f"algorithm.{name}" for name in row.Options.__dataclass_fields__}
    learner = Learner(configure(SHORT | {key: QUICK[key] for key in QUICK.keys() & names} | settings))
    try:
        return learner.update()
    finally:
        learner.close()


def whole(made: pgcontrol.Run) -> set[str]:
    return set().union(*made.metrics())


@pytest.mark.slow
def test_the_table_has_what_runs_log_and_nothing_else(tmp_path):
    run = str(tmp_path / "run")
    logged = whole(pgcontrol.train(SHORT | {"eval_every": 512, "run_dir": run}))
    logged |= update(prior=run, prior_warmup=0).keys() | update(**{"algorithm.reuse": 2}).keys()
    for head in catalog.heads():
        logged |= update(head=head).keys()
    for algorithm in catalog.algorithms():
        logged |= update(algorithm=algorithm).keys()
    pgcontrol.record("Fork-v0", tmp_path / "demos", 4)
    clone = {"dataset": str(tmp_path / "demos"), "steps": 10, "eval_episodes": 2, "run_dir": str(tmp_path / "clone")}
    logged |= whole(pgcontrol.clone(clone))
    narrow = {"env": "InvertedPendulum-v5", "rollout_steps": 16, "total_steps": 8192, "head.initial_std": 0.02}
    narrow |= {"algorithm.epochs": 1, "algorithm.minibatch": 128, "on_collapse": "widen"}
    logged |= whole(pgcontrol.train(SHORT | narrow | {"run_dir": str(tmp_path / "narrow")}))
    assert {metrics.pattern(name) for name in logged} == metrics.table().keys()


def test_every_group_is_explained():
    assert {name.split("/")[0] for name in metrics.table()} == metrics.GROUPS.keys()
