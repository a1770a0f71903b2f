"""The block `family:` of a sweep's YAML: the comparisons that are settled together."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from pgcontrol.options import InputError, option, pick, read_options

TOGETHER = "all tasks together"


@dataclass(frozen=True, kw_only=True)
class Family:
    """The comparisons of arms with the baseline that the report corrects for their number.

    family:
      arms: [binned, ordinal]  # default: all
      tasks: [Hopper-v5]       # default: all
      margin: 0.1
      together: true
      paired: true
    """

    arms: tuple[str, ...] = option((), "arms that are compared with the baseline")
    tasks: tuple[str, ...] = option((), "tasks on which they are compared")
    margin: float = option(0.1, "a smaller difference does not matter; share of the baseline's score", above=0, below=1)
    together: bool = option(False, "whether each arm is also compared on all tasks together")
    paired: bool = option(False, "whether runs of equal seeds are paired, because a seed does the same to all arms")

    def comparisons(self, runs: Iterable[tuple[str, str]], baseline: str | None) -> list[tuple[str, str]]:
        """The (task, arm) of the family, for which both the arm and the baseline have `runs`; `TOGETHER` is a task."""
        there = dict.fromkeys(runs)
        arms, tasks = self.arms or {arm for _, arm in there}, self.tasks or {task for task, _ in there}
        single = [
            (task, arm)
            for task, arm in there
            if arm != baseline and arm in arms and task in tasks and (task, baseline) in there
        ]
        often = [arm for arm, number in Counter(arm for _, arm in single).items() if number > 1]
        return [(TOGETHER, arm) for arm in often if self.together] + single


def parse(tree: Any, runs: Iterable[tuple[str, str]], baseline: str | None) -> Family:
    """Parse the block `family`; without it, all arms are compared on all tasks.

    Args:
        tree: the block; None: there is none.
        runs: (task, arm) of all runs of the sweep.
        baseline: the sweep's.

    Raises:
        InputError: one line that names the key.
    """
    if tree is None:
        return Family()
    if not isinstance(tree, dict):
        example = "such as {arms: [binned], margin: 0.1}"
        raise InputError(f"family = {tree!r}: must map arms, tasks, margin, together and paired to values, {example}")
    found, runs = Family(**read_options(Family, tree, "family.")), [*runs]
    for arm in found.arms:
        pick("arm", arm, {arm: True for _, arm in runs}, " (family.arms)")
    for task in found.tasks:
        pick("task", task, {task: True for task, _ in runs}, " (family.tasks)")
    if not found.comparisons(runs, baseline):
        why = "no other arm runs on a task of the baseline" if baseline else "the sweep has no baseline"
        raise InputError(f"family = {tree!r}: there is nothing to compare: {why}")
    return found
