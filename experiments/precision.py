"""How precisely do tokens say an action, bit for bit, beside uniform bins? The figure is precision.svg.

    .venv/bin/python experiments/precision.py --run runs/heads/HalfCheetah-v5-gaussian-s0 [--seeds 3]

Plays a trained policy, by its samples and by its mode, fits every tokenizer to the first four fifths of the time and
measures on the last fifth: root mean square of (decoded − action), in half-ranges of the joints. A seed is a set of
start states, of samples, and of the fit; the interval is Student's over seeds. Bits per action: L·log2(K)/H for all
but FAST, whose length varies: there, the tokens used and one to end, times log2 K, over H.
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
from torch import Tensor

from pgcontrol.charts.chart import Entry, hue, sheet
from pgcontrol.charts.lines import Axes, Line, lines
from pgcontrol.data.actions import Actions, of_run
from pgcontrol.data.tokenize import error, split
from pgcontrol.tokenizers import files

HERE = Path(__file__).parent
READING = """## What it says

(Of the run of 2026-11-22.) **RVQ beats uniform bins at equal bits everywhere**, at 12 bits by 2 times on sampled
actions (0.085 against 0.168) and 4 times on the mode's (0.041 against 0.170), at 24 bits on sampled actions only just;
it reaches with 6 bits what bins need 12 for, or on the mode 17. The joints move together, and
a vocabulary of whole actions knows that; bins pay for each joint alone.
On sampled actions the gain shrinks with the bits: what is left there is the policy's own noise, independent in every
joint and step, which no vocabulary compresses. The further levels then gain what bins gain for the same bits.

**FAST beats bins only where bits are few** (mode, 12.4 bits: 0.129 against 0.160) **and loses above some 15 bits**, on
sampled actions above 10. Why: this policy's torques are no smooth signal. They jump by 0.9 half-ranges from one step
to the next (20 Hz), a quarter of them lies at a bound, and the lower half of their frequencies holds 0.7 of their
energy (white noise: 0.5). A cosine transform has little to compact there, and it spreads a value at the bound, which a
bin says exactly, over all coefficients. The control bears this out: on the same actions averaged over a second FAST
needs 2.5 bits for an error (0.12) for which bins need 15. FAST is for smooth motions (arXiv 2501.09747 has 50 Hz robot
arms), RVQ for these. The smoothed signal is small beside its range, which favours every learned vocabulary.
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
"""Of a point, as a chart draws it."""


def measure(actions: Actions, kind: str, horizon: int, settings: dict[str, Any], seed: int) -> tuple[float, float]:
    """(bits per action, error)."""
    fit, held_out = split(actions, horizon)
    tokenizer: Any = files.make(kind, horizon, actions.unit.shape[-1], settings)
    tokenizer.fit(fit, seed)
    held_out = held_out[::horizon]  # windows overlap; these hardly do
    bits = tokenizer.bits if kind != "fast" else tokenizer.used_bits(tokenizer.encode(held_out))
    return bits, error(tokenizer, held_out)


def smooth(actions: Actions) -> Actions:
    """The same actions averaged over a sliding second (20 steps): a signal with little in its high frequencies."""
    width = 20
    kernel = torch.ones(1, 1, width) / width
    T, N, A = actions.unit.shape
    series = actions.unit.permute(1, 2, 0).reshape(N * A, 1, T)
    unit = torch.nn.functional.conv1d(series, kernel).view(N, A, -1).permute(2, 0, 1)
    return Actions(unit / unit.abs().max(), actions.ends[width - 1 :], None)


def facts(actions: Actions) -> dict[str, float]:
    """What decides how well a signal compresses."""
    unit = actions.unit
    chunks, _ = split(actions, CHUNK)
    spectrum = torch.as_tensor(np.square(_dct(chunks - unit.mean((0, 1)))))
    low = spectrum[:, : CHUNK // 2].sum() / spectrum.sum()
    return {
        "deviation": float(unit.std()),
        "saturated": float((unit.abs() > 0.99).float().mean()),
        "step_to_step": float((unit[1:] - unit[:-1]).square().mean().sqrt()),
        "energy_in_lower_half_of_frequencies": float(low),
    }


def _dct(chunks: Tensor) -> np.ndarray:
    from scipy.fft import dct

    return dct(chunks.double().numpy(), axis=1, norm="ortho")


def interval(values: list[float]) -> tuple[float, float, float]:
    mean = float(np.mean(values))
    if len(values) < 2:
        return mean, mean, mean
    half = float(stats.t.ppf(0.975, len(values) - 1) * stats.sem(values))
    return mean, mean - half, mean + half


def at_bits(points: list[dict], bits: float) -> float | None:
    """Error of a family at a number of bits, by interpolating log error; None outside what was measured."""
    xs = sorted((p["bits"], math.log(p["error"])) for p in points)
    if not xs[0][0] <= bits <= xs[-1][0]:
        return None
    return float(math.exp(np.interp(bits, *zip(*xs, strict=True))))


def beside_bins(point: dict, bins: list[dict]) -> str:
    """Error of uniform bins at the same bits, in words for the table."""
    if point["bits"] < bins[0]["bits"]:
        return "fewer than 3 bins take"
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
                beside = "" if points is bins else beside_bins(p, bins)
                setting = ", ".join(f"{k} {v:g}" for k, v in p["settings"].items())
                error = f"{p['error']:.4f} | {p['low']:.4f} … {p['high']:.4f}"
                lines.append(f"| {family} | {setting} | {p['bits']:.2f} | {error} | {beside} |")
        lines.append("")
    return "\n".join([*lines, READING])


def picture(result: dict) -> str:
    """Error over bits, a chart for each signal; bands are the intervals."""
    charts, entries = [], [Entry(family, hue(i)) for i, family in enumerate(FAMILIES)]
    for name, part in result["signals"].items():
        drawn = []
        for entry in entries:
            columns = [np.array([point[key] for point in part["families"][entry.name]]) for key in COLUMNS]
            drawn.append(Line(entry.name, entry.colour, *columns, look="both"))
        axes = Axes("bits per action", f"{name}: RMS error, half-ranges", True, (5e-3, 0.7), ends_x=(0, 45))
        charts.append(lines(name, drawn, axes))
    return sheet("What a tokenizer loses of a trained HalfCheetah-v5 policy's actions", [charts], entries)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True, help="a trained run")
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    seeds = list(range(arguments.seeds))
    sources = {
        "sampled actions": lambda s: of_run(arguments.run, STEPS, s),
        "mode actions": lambda s: of_run(arguments.run, STEPS, s, deterministic=True),
        "mode actions, smoothed (a control)": lambda s: smooth(of_run(arguments.run, STEPS, s, deterministic=True)),
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
