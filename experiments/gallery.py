"""Trains the policies of docs/gallery.md, makes their films, and writes the page.

    python experiments/gallery.py [--runs runs/gallery] [FILM ...]
    python experiments/gallery.py --page    # only writes the page

A run folder that is there is not trained again. Films and rows (gallery.jsonl) of the films that are named are made
again [all]; the page, docs/gallery.md, is written from the rows.
"""

from __future__ import annotations

import argparse
import itertools
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image

import pgcontrol
from pgcontrol.machine import files
from pgcontrol.rendering.encoding import decode
from pgcontrol.runs.config import configure, flat, nested
from pgcontrol.runs.folder import RunFolder
from pgcontrol.text import short

HERE = Path(__file__).parent
ROWS, PAGE, IMAGES = HERE / "gallery.jsonl", HERE.parent / "docs" / "gallery.md", HERE.parent / "docs" / "images"
EPISODES = 20  # that score a policy
MAX_FPS = 15.0
NEAR_LOSSLESS = 8  # crf of the video that the film is made from
SILENT = ("run_dir", "threads", "compile", "video", "eval_", "score_episodes", "checkpoint_every")
"""Beginnings of settings that do not change the policy."""


Settings = dict[str, Any]


class Film(NamedTuple):
    """A film of runs side by side.

    Attributes:
        name: the file in docs/images, without its suffix.
        says: what there is to see.
        runs: settings of each run; the others are the recommended ones.
        size: of a scene in pixels.
        seconds: maximum length of an episode.
        seeds: an episode from each of these start states, one after the other.
        sampled: play samples of the policy instead of its mode.
        overlay: show the action distributions.
        quality: of the WebP, 0 to 100.
    """

    name: str
    says: str
    runs: tuple[Settings, ...]
    size: str = "320x240"
    seconds: float = 5.0
    seeds: tuple[int, ...] = (0,)
    sampled: bool = False
    overlay: bool = False
    quality: int = 60


FILMS = (
    Film(
        "gallery/cheetah",
        "A half-cheetah gallops. The head chooses one of 32 learned actions for the whole body and a Gaussian "
        "offset from it.",
        ({"env": "HalfCheetah-v5", "head": "token-offset", "seed": 0},),
    ),
    Film(
        "gallery/hopper",
        "One leg hops without a pause, here trained with natural gradients in place of PPO. Seeds differ much on "
        "this task: those from 201 to 209 reached 841 to 3,471.",
        ({"env": "Hopper-v5", "algorithm": "npg", "seed": 202},),
    ),
    Film(
        "gallery/walker",
        "Half of the recommended budget. The walker does not walk: it hops forwards on both legs at once.",
        ({"env": "Walker2d-v5", "total_steps": 500_000, "seed": 200},),
    ),
    Film(
        "gallery/ant",
        "Half of the recommended budget. The ant trots at about one metre per second, and is still far from what "
        "a full budget reaches (3,414 over five seeds).",
        ({"env": "Ant-v5", "total_steps": 500_000, "seed": 200},),
    ),
    Film(
        "gallery/swimmer",
        "Three links swim with a wave that runs through them. A stroke pays off only seconds later, so the recommended "
        "settings for this task look far ahead (a discount of 0.9999).",
        ({"env": "Swimmer-v5", "seed": 0},),
    ),
    Film(
        "gallery/reacher",
        "Five targets, one after the other. The arm is fast, but it does not stay exactly at the target: in the end "
        "its tip is up to three centimetres away.",
        ({"env": "Reacher-v5", "head": "ordinal", "seed": 0},),
        seeds=(0, 1, 2, 3, 4),
    ),
    Film(
        "gallery/pendulum",
        "Two start states. From the first the poles fall at once, from the second the cart balances them. The mode "
        "falls in 4 of 20 episodes, samples of the policy in 1 of 20.",
        ({"env": "InvertedDoublePendulum-v5", "head": "gaussian-tanh", "seed": 0},),
        seeds=(0, 1),
    ),
    Film(
        "gallery/fork",
        "The disc must decide behind the yellow line on which side it passes. Each policy has learned one side "
        "and keeps to it: a Gaussian to the left, bins to the right. On the right of each scene are the "
        "distributions of both forces, from which the action (orange) is sampled.",
        (
            {"env": "Fork-v0", "seed": 0},
            {"env": "Fork-v0", "head": "binned", "seed": 0},
        ),
        size="240x240",
        seeds=(0, 1, 2, 3),
        sampled=True,
        overlay=True,
    ),
    Film(
        "gallery/avoiding",
        "Three rows of obstacles leave 24 ways to the finish. This mixture of Gaussians could represent several "
        "of them, and has learned only one.",
        ({"env": "Avoiding-v0", "head": "mixture", "seed": 0},),
        seeds=(0, 1, 2),
    ),
    Film(
        "gallery/needle",
        "The arm brings its tip to a point and holds it there against gravity. It misses the first point by some three "
        "centimetres, and holds the second within one.",
        ({"env": "Needle-v0", "seed": 0},),
        seconds=3.0,
        seeds=(0, 1),
    ),
    Film(
        "gallery/go1",
        "A quadruped follows a forward speed, a sideways speed and a yaw rate. The command changes at 2, 2.7 and "
        "5 s; the bars show what was asked and what the robot does.",
        ({"env": "Go1-v0", "seed": 0},),
    ),
    Film(
        "gallery/go1-torque",
        "The same robot, start and commands, but the policy sets the torques of the twelve motors, without a "
        "controller below it. It follows the commands a little later.",
        ({"env": "Go1Torque-v0", "seed": 0},),
    ),
)
README = Film(
    "heads",
    "`Go1-v0` after 5M steps: Gaussians and bins follow the same commands. Orange: the action.",
    (
        {"env": "Go1-v0", "total_steps": 5_000_000, "seed": 0},
        {"env": "Go1-v0", "head": "binned", "total_steps": 5_000_000, "seed": 0},
    ),
    size="256x320",
    overlay=True,
)
"""At the top of README.md, and not on the page."""


def command(settings: Settings) -> str:
    """The command that trains a policy with these settings."""
    flags = (f"--{key.replace('_', '-')} {value}" for key, value in settings.items() if key != "env")
    return f"pgcontrol train {settings['env']} {' '.join(flags)}"


def trained(settings: Settings, runs: Path) -> RunFolder:
    """The run folder, trained if it is not there.

    Raises:
        ValueError: the run that is there has other settings.
    """
    path = runs / "-".join(str(value).replace(":", "-") for value in settings.values())
    if not path.exists():
        typed = command(settings).split()[1:]
        subprocess.run([sys.executable, "-m", "pgcontrol", *typed, "--run-dir", str(path)], check=True)
    folder = RunFolder.open(path)
    wanted, found = flat(nested(configure(settings))), folder.settings()
    known = [key for key in found if key in wanted and not key.startswith(SILENT)]
    if other := [f"{key}: {found[key]}" for key in known if found[key] != wanted[key]]:
        raise ValueError(f"{path} was not made by {command(settings)}: {', '.join(other)}")
    return folder


def row(film: Film, settings: Settings, folder: RunFolder) -> dict[str, Any]:
    """What made the policy of a run, and its return in episodes of what the film plays."""
    manifest = folder.manifest()
    scored = pgcontrol.evaluate(run=folder.path, episodes=EPISODES).summary()["sampled" if film.sampled else "mode"]
    return {
        "film": film.name,
        "command": command(settings),
        "task": settings["env"],
        "head": settings.get("head", "gaussian"),
        "seed": settings["seed"],
        "steps": manifest["steps"],
        "seconds": manifest["seconds"],
        "return": round(scored["eval/mean_reward"], 3),
        "low": round(scored["eval/low_reward"], 3),
        "high": round(scored["eval/high_reward"], 3),
        "episodes": EPISODES,
        "sampled": film.sampled,
        "revision": manifest["git"],
        "date": manifest["started"][:10],
    }


def make(film: Film, runs: list[RunFolder]) -> None:
    """Write the film."""
    pages, fps = [], 1.0
    with tempfile.TemporaryDirectory() as scratch:
        for seed in film.seeds:
            made = pgcontrol.video(
                runs=tuple(folder.path for folder in runs),
                out=Path(scratch) / f"{seed}.mp4",
                seconds=film.seconds,
                sampled=film.sampled,
                overlay=film.overlay,
                seed=seed,
                size=film.size,
                max_fps=MAX_FPS,
                crf=NEAR_LOSSLESS,
            )
            pages += map(Image.fromarray, decode(made.path))
            fps = made.fps
    path = IMAGES / f"{film.name}.webp"
    path.parent.mkdir(exist_ok=True)
    pages[0].save(
        path, save_all=True, append_images=pages[1:], duration=round(1000 / fps), loop=0, quality=film.quality
    )
    print(f"{path.name}: {len(pages) / fps:.1f} s at {fps:.4g} Hz, {path.stat().st_size / 1e3:.0f} kB", flush=True)


def read() -> list[dict[str, Any]]:
    """The rows there are."""
    return [json.loads(line) for line in ROWS.read_text("utf-8").splitlines()] if ROWS.exists() else []


def page(rows: list[dict[str, Any]]) -> str:
    """The page in Markdown."""
    parts = [INTRO]
    for film in FILMS:
        title, made = film.runs[0]["env"], [row for row in rows if row["film"] == film.name]
        commands = (f"{row['command']}   # {row['seconds']:,.0f} s" for row in made)
        shown = f"![{title}](images/{film.name}.webp)"
        parts += [f"## {title}", shown, film.says, "```sh\n" + "\n".join(commands) + "\n```"]
    lines = ["| task | head | seed | steps | seconds | return | revision, date |"]
    lines.append("|---|---|---:|---:|---:|---:|---|")
    for row in (row for row in rows if row["film"] != README.name):
        score = f"{short(row['return'])} ± {short((row['high'] - row['low']) / 2)}"
        made = f"{row['revision'][:7]}, {row['date']}"
        cells = [f"`{row['task']}`", f"`{row['head']}`", row["seed"], f"{row['steps']:,}", f"{row['seconds']:,.0f}"]
        lines.append(f"| {' | '.join(map(str, [*cells, score, made]))} |")
    return "\n\n".join([*parts, NUMBERS, "\n".join(lines)]) + "\n"


INTRO = """# Gallery

Twelve videos of trained policies, each with the command that trained it and the time that the training took. The times
are those of a busy machine; an idle one is much faster ([how they were made](#how-they-were-made)). Settings are the
recommended ones. The text above a scene shows the head, the algorithm, the training steps, the return so far and the
time. Videos show the policy's mode; only that of Fork-v0 shows samples. Your own run:
`pgcontrol video RUN --out FILE.mp4 --overlay`."""
NUMBERS = """## How they were made

All runs were made on a virtual machine with two cores of an AMD EPYC, most of them while many other jobs ran. So the
times are upper limits: HalfCheetah-v5 used 102 s of one core in its 1,157 s, and an idle machine needs about a minute
([speed](../README.md#how-fast-how-reliable)). The return is the mean of 20 episodes of what the video shows, ± its 95 %
interval over episodes. It is that of one policy: other seeds reach other returns. Some runs had further settings
that do not change the policy, such as `--threads 1` and `--video false`; those of Walker2d-v5 and Ant-v5 were made by
[experiments/natural.py](../experiments/natural.py). `python experiments/gallery.py` trains the policies, makes the
videos, and writes this page."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    films = {Path(film.name).name: film for film in (*FILMS, README)}
    parser.add_argument("films", nargs="*", metavar="FILM", help=", ".join(films))
    parser.add_argument("--runs", type=Path, default=Path("runs/gallery"))
    parser.add_argument("--page", action="store_true", help="only write the page")
    given = parser.parse_args()
    if unknown := set(given.films) - set(films):
        parser.error(f"no film {', '.join(unknown)}; there are {', '.join(films)}")
    rows = {film.name: [row for row in read() if row["film"] == film.name] for film in films.values()}
    for name in () if given.page else given.films or films:
        film = films[name]
        runs = [trained(settings, given.runs) for settings in film.runs]
        make(film, runs)
        rows[film.name] = [row(film, *pair) for pair in zip(film.runs, runs, strict=True)]
        lines = map(json.dumps, itertools.chain.from_iterable(rows.values()))
        files.replace({ROWS: "\n".join(lines) + "\n"})
    files.replace({PAGE: page(read())})


if __name__ == "__main__":
    main()
