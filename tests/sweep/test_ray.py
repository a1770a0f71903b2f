"""A Ray cluster of two nodes on this machine, one of which is killed."""

import signal
import time
from collections.abc import Iterator
from typing import Any

import pytest
import ray
import yaml
from ray.cluster_utils import Cluster

from pgcontrol.sweep import results, run_state, searching, trials
from pgcontrol.sweep.executor import Ended
from pgcontrol.sweep.on import On
from pgcontrol.sweep.ray_cluster import Ray
from pgcontrol.sweep.sweep import read_sweep
from tests.sweep.nodes import identical, pair, typed
from tests.sweep.searches import RATE, SEARCH, search_of, written

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """A head node that runs nothing. It notices after seconds, not after half a minute, that another node is dead."""
    health = {"health_check_initial_delay_ms": 1000, "health_check_period_ms": 1000, "health_check_timeout_ms": 2000}
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "_system_config": health})
    yield made
    ray.shutdown()
    made.shutdown()


@pytest.fixture
def nodes(cluster) -> Iterator[list[Any]]:
    """Two more nodes, of one core each."""
    made = [cluster.add_node(num_cpus=1) for _ in range(2)]
    cluster.wait_for_nodes()
    yield made
    ray.shutdown()
    for node in made:
        cluster.remove_node(node, allow_graceful=False)


@pytest.fixture
def on(cluster, nodes) -> On:
    return On(engine="ray", address=cluster.address)


def test_a_sweep_is_left_and_taken_up_again_and_ends_as_on_one_machine(on, tmp_path):
    where, sweep = tmp_path / "runs", pair(tmp_path)
    engine = Ray(on)
    first = engine.run(sweep.cells, where)
    next(first)
    first.close()
    assert set(engine.names()) == {str(where / cell.name) for cell in sweep.cells}
    ray.shutdown()
    sweep.path.write_text(f"{sweep.path.read_text()}on: {{engine: ray, address: '{on.address}'}}\n")
    code, said = typed("compare", sweep.path, "--runs", where, "--clips", "none", "--no-open")
    assert code == 0, said
    assert set(results.read(sweep)) == {cell.key for cell in sweep.cells}
    for cell in sweep.cells:
        identical(where / cell.name, cell)


def test_runs_survive_the_node_they_were_on(on, nodes, tmp_path):
    cells, where, errors, killed = pair(tmp_path, budget="5_000").cells, tmp_path / "runs", [], False
    for outcome in Ray(on).run(cells, where):
        if isinstance(outcome, Ended):
            errors.append(outcome.error)
        elif not killed and all(run_state.reached(where / cell.name) for cell in cells):
            raylet = nodes[0].all_processes["raylet"][0].process
            raylet.send_signal(signal.SIGKILL)
            raylet.wait()  # a zombie would seem to live
            killed = True
    assert killed
    assert errors == ["", ""]
    for cell in cells:
        identical(where / cell.name, cell)


def test_jobs_are_cancelled(on, sweep, tmp_path):
    engine, where = Ray(on), tmp_path / "runs"
    next(engine.run(sweep.cells, where))
    assert engine.cancel(where) == len(sweep.cells)
    deadline = time.monotonic() + 30
    while engine.names():
        assert time.monotonic() < deadline
        time.sleep(0.2)


@pytest.mark.slow
def test_the_trials_of_a_search_run_there_too(on, tmp_path):
    tree = yaml.safe_load(SEARCH) | {"arms": {"gaussian": {"head": "gaussian"}}, "on": {"engine": "ray"}}
    tree["on"]["address"] = on.address
    tree["search"] |= {"trials": 2, "seeds": [100], "pruner": "none", "space": {RATE: [1e-4, 1e-3]}, "sampler": "grid"}
    sweep, where = written(tmp_path, yaml.safe_dump(tree)), tmp_path / "runs"
    code, said = typed("compare", sweep.path, "--runs", where, "--clips", "none", "--no-open")
    assert code == 0, said
    made = trials.read(trials.file_of(sweep.path))
    assert [row.settings[RATE] for row in made] == [1e-4, 1e-3]
    best = max(made, key=lambda row: row.score)
    (row,) = results.read(read_sweep(sweep.path)).values()
    assert row.settings[RATE] == best.settings[RATE]
    (cell,) = searching.cells(search_of(sweep), "gaussian", best.settings)
    identical(where / "search" / f"t{best.number}-gaussian" / cell.name, cell)
