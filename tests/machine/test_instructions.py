"""The choice of the processor's instructions."""

import os
import platform
import subprocess
import sys
import warnings

import pytest

import pgcontrol
from pgcontrol.machine import instructions
from pgcontrol.runs.folder import RunFolder

X86 = pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="AVX2 is of x86-64 processors")
SAYS = "from pgcontrol.machine import instructions; print(instructions.used())"


def used(*before: str, **env: str) -> tuple[str, str]:
    """What a new process uses, and its warnings."""
    code = "; ".join([*before, "import pgcontrol", SAYS])
    here = {k: v for k, v in os.environ.items() if k not in instructions.AVX2} | env
    done = subprocess.run(
        [sys.executable, "-c", code], env=here, capture_output=True, text=True, timeout=300, check=True
    )
    return done.stdout.strip(), done.stderr


@pytest.mark.slow
@X86
def test_portable_means_avx2_in_this_process_and_those_it_starts():
    assert used(PGCONTROL_PORTABLE="1") == ("AVX2, portable", "")
    nested = f"import subprocess, sys; subprocess.run([sys.executable, '-c', 'import pgcontrol; {SAYS}'], check=True)"
    said, _ = used("import pgcontrol", nested, PGCONTROL_PORTABLE="1")
    assert said.splitlines() == ["AVX2, portable"] * 2


@X86
def test_after_torch_it_is_too_late_and_that_is_said():
    said, warned = used("import torch", PGCONTROL_PORTABLE="1")
    assert "portable" not in said
    assert "PGCONTROL_PORTABLE has no effect, because torch was imported before pgcontrol" in warned


@pytest.mark.slow
def test_nothing_is_limited_unless_asked():
    for env in ({}, {"PGCONTROL_PORTABLE": "0"}):
        said, warned = used(**env)
        assert ("portable" in said, warned) == (False, "")


def test_a_run_names_its_instructions_and_warns_if_it_continues_with_others(tmp_path):
    settings = {"env": "InvertedPendulum-v5", "num_envs": 4, "rollout_steps": 64, "total_steps": 256, "eval_every": 0}
    run = pgcontrol.train(settings | {"video": False, "threads": 1, "run_dir": str(tmp_path / "run")})
    folder = RunFolder.open(run.path)
    assert folder.manifest()["instructions"] == instructions.used()
    with warnings.catch_warnings(action="error"):
        pgcontrol.resume(run.path, total_steps=512)
    folder.write_manifest(instructions="SSE2")
    with pytest.warns(UserWarning, match="began with the instructions SSE2, and continues with"):
        pgcontrol.resume(run.path, total_steps=768)


def test_the_features_of_this_processor_are_known():
    assert len(instructions.features()) > 10
