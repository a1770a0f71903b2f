"""How precise are the actions of tokens, compared with uniform bins of equal bits? The figure is precision.svg.

    .venv/bin/python experiments/precision.py --run runs/heads/HalfCheetah-v5-gaussian-s0 [--seeds 3]

Plays a trained policy, by its samples and by its mode. Every tokenizer is fitted to the first four fifths of the steps.
Its error is measured on the last fifth: the root mean square of (decoded − action), in half-ranges of the joints. A
seed determines the start states, the samples and the fit; the interval is Student's over seeds. Bits per action are
L·log2(K)/H. The number of FAST's tokens L varies: there, it is the used tokens plus one end token.
"""

from __future__ import annotations

import argparse
import datetime
import json
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import stats
from scipy.fft import dct

from pgcontrol.charts.chart import Entry, hue, sheet
from pgcontrol.charts.lines import Axes, Line, lines
from pgcontrol.data.actions import ENVS, Actions, of_run
from pgcontrol.data.tokenize import error, split
from pgcontrol.runs.load import load_with_meta, make_env
from pgcontrol.tokenizers import files

HERE = Path(__file__).parent
READING = """## What it says

This describes the run of 2026-11-22.

**RVQ is more precise than uniform bins at equal bits everywhere.** At 12 bits its error is half that of bins on sampled
actions (0.085 against 0.168) and a quarter on the mode's (0.041 against 0.170); at 24 bits on sampled actions it is
only slightly smaller. With 6 bits RVQ is as precise as bins with 12 bits, or with 17 on the mode's actions. The joints
move together, and a vocabulary of whole actions uses that, while bins spend bits on each joint separately. On sampled
actions the advantage shrinks with more bits: the rest is the policy's noise, which is independent in every joint and
step and cannot be compressed.

**FAST is more precise than bins only with few bits** (mode, 12.4 bits: 0.129 against 0.160). Above about 15 bits it is
less precise, on sampled actions above 10. This policy's torques are not smooth: they change by 0.9 half-ranges from
one step to the next (20 Hz), a quarter of them is at a bound, and the lower half of their frequencies has 0.7 of their
energy (white noise: 0.5). So a cosine transform has little to compress, and it spreads a value at the bound, which a
bin represents exactly, over all coefficients. A control supports this: for the same actions averaged over a second,
FAST needs 2.5 bits for an error (0.12) for which bins need 15. FAST is for smooth motions (arXiv 2501.09747: robot arms
at 50 Hz), RVQ for motions like these. The smoothed signal is small compared with its range, which favours every learned
vocabulary.
"""
STEPS = 16_000
CHUNK = 8

FAMILIES: dict[str, list[tuple[str, int, dict[str, Any]]]] = {
    "uniform bins": [("bins", 1, {"codes": k}) for k in (3, 5, 7, 11, 21, 41, 101)],
    "k-means": [("kmeans", 1, {"codes": k}) for k in (8, 64, 256, 1024)],
    "VQ": [("vq", 1, {"codes": k}) for k in (8, 64, 256)],
    "RVQ, 16 codes, 1-4 levels": [("rvq", 1, {"codes": 16, "levels": n}) for n in (1, 2, 3, 4)],
    "RVQ, 64 codes, 1-4 levels": [("rvq", 1, {"codes": 64, "levels": n}) for n in (1, 2, 3, 4)],
    f"RVQ, 64 codes, 1-4 levels, chunks of {CHUNK}": [("rvq", CHUNK, {"codes": 64, "levels": n}) for n in (1, 2, 3, 4)],
    f"FAST, 1024 tokens, chunks of {CHUNK}": [
        ("fast", CHUNK, {"codes": 1024, "length": 6 * CHUNK, "scale": s}) for s in (0.5, 1.0, 2.0, 4.0, 8.0)
    ],
}
COLUMNS = ("bits", "error", "low", "high")
"""Columns of a point, in the order in which a chart takes them."""


def measure(actions: Actions, kind: str, horizon: int, settings: dict[str, Any], seed: int) -> tuple[float, float]:
    """(bits per action, error)."""
    fit, held_out = split(actions, horizon)
    tokenizer: Any = files.make(kind, horizon, actions.unit.shape[-1], settings)
    tokenizer.fit(fit, seed)
    held_out = held_out[::horizon]  # windows overlap; these hardly do
    length = float(tokenizer.length)
    if kind == "fast":  # token 0 is padding
        places = torch.arange(1, tokenizer.length + 1)
        used = ((tokenizer.encode(held_out) != 0) * places).amax(1)
        length = float((used + 1).clamp_max(tokenizer.length).float().mean())
    return length * math.log2(tokenizer.codes) / horizon, error(tokenizer, held_out)


@torch.no_grad()
def by_mode(run: Path, seed: int) -> Actions:
    """`STEPS` actions of a run's mode; see `of_run`, which plays samples. The head must choose one action at a time."""
    policy, meta = load_with_meta(run)
    env = make_env(meta["policy"]["env"], ENVS, seed)
    obs, unit, ends = env.reset(), [], []
    for _ in range(STEPS // ENVS):
        action = policy.act(obs, None)[0][:, 0]
        step = env.step(action)
        over = step.terminated | step.truncated
        unit.append(policy.head.to_unit(action))
        ends.append(over)
        obs = step.obs.clone()
        if over.any():
            obs[over] = env.reset(over)
    env.close()
    return Actions(torch.stack(unit), torch.stack(ends), meta["policy"]["env"])


def smooth(actions: Actions) -> Actions:
    """The same actions averaged over a sliding second (20 steps): a signal with little energy in high frequencies."""
    width = 20
    kernel = torch.ones(1, 1, width) / width
    T, N, A = actions.unit.shape
    series = actions.unit.permute(1, 2, 0).reshape(N * A, 1, T)
    unit = torch.nn.functional.conv1d(series, kernel).view(N, A, -1).permute(2, 0, 1)
    return Actions(unit / unit.abs().max(), actions.ends[width - 1 :], None)


def facts(actions: Actions) -> dict[str, float]:
    """The properties that determine how well a signal can be compressed."""
    unit = actions.unit
    chunks, _ = split(actions, CHUNK)
    centred = (chunks - unit.mean((0, 1))).double().numpy()
    spectrum = np.asarray(dct(centred, axis=1, norm="ortho")) ** 2
    low = spectrum[:, : CHUNK // 2].sum() / spectrum.sum()
    return {
        "deviation": float(unit.std()),
        "saturated": float((unit.abs() > 0.99).float().mean()),
        "step_to_step": float((unit[1:] - unit[:-1]).square().mean().sqrt()),
        "energy_in_lower_half_of_frequencies": float(low),
    }


def interval(values: list[float]) -> tuple[float, float, float]:
    mean = float(np.mean(values))
    if len(values) < 2:
        return mean, mean, mean
    half = float(stats.t.ppf(0.975, len(values) - 1) * stats.sem(values))
    return mean, mean - half, mean + half


def at_bits(points: list[dict], bits: float) -> float | None:
    """Error of a family at a number of bits, by interpolating log error; None outside the measured range."""
    known, errors = np.array(sorted((p["bits"], p["error"]) for p in points)).T
    if not known[0] <= bits <= known[-1]:
        return None
    return float(np.exp(np.interp(bits, known, np.log(errors))))


def of_bins(point: dict, bins: list[dict]) -> str:
    """Error of uniform bins at the same bits, as text for the table."""
    if point["bits"] < bins[0]["bits"]:
        return "fewer bits than 3 bins need"
    there = at_bits(bins, point["bits"])
    return "" if there is None else f"{there:.4f}"


def table(result: dict) -> str:
    lines = [
        "# Bits and precision",
        "",
        f"`{result['command']}`, {result['date']}: {result['run']}, {STEPS:,} steps a seed, seeds {result['seeds']}.",
        "Error: root mean square in half-ranges on the held-out last fifth; mean over seeds, Student's 95 % interval.",
        "`bins` is the error of uniform bins at the same bits (between measured points, log error is interpolated).",
        "",
    ]
    for name, part in result["signals"].items():
        said = ", ".join(f"{k.replace('_', ' ')} {v:.2f}" for k, v in part["facts"].items())
        head = ("| tokens | setting | bits | error | 95 % | bins |", "|---|---|---:|---:|---|---:|")
        lines += [f"## {name}", "", said, "", *head]
        bins = part["families"]["uniform bins"]
        for family, points in part["families"].items():
            for p in points:
                theirs = "" if points is bins else of_bins(p, bins)
                setting = ", ".join(f"{k} {v:g}" for k, v in p["settings"].items())
                error = f"{p['error']:.4f} | {p['low']:.4f} … {p['high']:.4f}"
                lines.append(f"| {family} | {setting} | {p['bits']:.2f} | {error} | {theirs} |")
        lines.append("")
    return "\n".join([*lines, READING])


def picture(result: dict) -> str:
    """Error over bits, a chart for each signal; bands are the intervals."""
    charts, entries = [], [Entry(family, hue(i)) for i, family in enumerate(FAMILIES)]
    for name, part in result["signals"].items():
        drawn = []
        for entry in entries:
            x, y, low, high = (np.array([p[key] for p in part["families"][entry.name]]) for key in COLUMNS)
            drawn.append(Line(entry.name, entry.colour, x, y, low, high, look="both"))
        axes = Axes("bits per action", f"{name}: RMS error, half-ranges", True, (5e-3, 0.7), ends_x=(0, 45))
        charts.append(lines(name, drawn, axes))
    return sheet("Errors of tokenizers on the actions of a trained HalfCheetah-v5 policy", [charts], entries)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True, help="a trained run")
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    seeds = list(range(arguments.seeds))
    sources = {
        "sampled actions": lambda s: of_run(arguments.run, STEPS, s),
        "mode actions": lambda s: by_mode(arguments.run, s),
        "mode actions, smoothed (a control)": lambda s: smooth(by_mode(arguments.run, s)),
    }
    signals = {}
    for name, source in sources.items():
        data = [source(s) for s in seeds]
        families = {}
        for family, rungs in FAMILIES.items():
            families[family] = []
            for kind, horizon, settings in rungs:
                found = [measure(d, kind, horizon, settings, s) for d, s in zip(data, seeds, strict=True)]
                mean, low, high = interval([e for _, e in found])
                bits = float(np.mean([b for b, _ in found]))
                point = {"kind": kind, "horizon": horizon, "settings": settings, "bits": bits}
                families[family].append(point | {"error": mean, "low": low, "high": high})
                print(name, family, settings, f"{bits:.2f} bits, error {mean:.4f}", flush=True)
        signals[name] = {"facts": facts(data[0]), "families": families}
    result = {
        "command": " ".join(["python", *sys.argv]),
        "date": datetime.date.today().isoformat(),
        "run": arguments.run.name,
        "seeds": seeds,
        "signals": signals,
    }
    (HERE / "precision.json").write_text(json.dumps(result, indent=1) + "\n")
    (HERE / "precision.md").write_text(table(result))
    (HERE / "precision.svg").write_text(picture(result))


if __name__ == "__main__":
    main()
