"""The block `family:` of a sweep's YAML: the comparisons that are settled together."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pgcontrol.options import InputError, option, pick, read_options

TOGETHER = "all tasks together"


@dataclass(frozen=True, kw_only=True)
class Family:
    """The comparisons that the report corrects for their number: of arms with the baseline, or with another arm.

    family:
      arms: [binned, ordinal]  # default: all
      tasks: [Hopper-v5]       # default: all
      margin: 0.1
      together: true
      paired: true
      against: {ordinal: binned}  # ordinal is compared with binned; default: all with the baseline
    """

    arms: tuple[str, ...] = option((), "arms that are compared")
    tasks: tuple[str, ...] = option((), "tasks on which they are compared")
    margin: float = option(
        0.1, "a smaller difference does not matter; share of the other arm's score", above=0, below=1
    )
    together: bool = option(False, "whether each arm is also compared on all tasks together")
    paired: bool = option(False, "whether runs of equal seeds are paired, because a seed does the same to all arms")
    against: Mapping[str, str] = field(default_factory=dict)  # arm -> the arm with which it is compared

    def comparisons(self, runs: Iterable[tuple[str, str]], baseline: str | None) -> list[tuple[str, str]]:
        """The (task, arm) of the family, for which both arms have `runs`; `TOGETHER` is a task."""
        there = dict.fromkeys(runs)
        arms, tasks = self.arms or {arm for _, arm in there}, self.tasks or {task for task, _ in there}
        single = [
            (task, arm)
            for task, arm in there
            if arm != baseline and arm in arms and task in tasks and (task, self.against.get(arm, baseline)) in there
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
        names = "arms, tasks, margin, together, paired and against"
        raise InputError(f"family = {tree!r}: must map {names} to values, {example}")
    against = _against(tree.get("against"), baseline)
    options = {name: value for name, value in tree.items() if name != "against"}
    found, runs = Family(**read_options(Family, options, "family."), against=against), [*runs]
    arms = {arm: True for _, arm in runs}
    for arm in found.arms:
        pick("arm", arm, arms, " (family.arms)")
    for arm in (*against, *against.values()):
        pick("arm", arm, arms, " (family.against)")
    for task in found.tasks:
        pick("task", task, {task: True for task, _ in runs}, " (family.tasks)")
    if not found.comparisons(runs, baseline):
        why = "no other arm runs on a task of the baseline" if baseline else "the sweep has no baseline"
        raise InputError(f"family = {tree!r}: there is nothing to compare: {why}")
    return found


def _against(tree: Any, baseline: str | None) -> dict[str, str]:
    if tree is None:
        return {}
    if not isinstance(tree, dict) or not all(isinstance(name, str) for pair in tree.items() for name in pair):
        raise InputError(f"family.against = {tree!r}: must map arms to arms, such as {{ordinal: binned}}")
    for arm, other in tree.items():
        if arm in (other, baseline):
            why = "an arm cannot be compared with itself" if arm == other else "the baseline has no other arm"
            raise InputError(f"family.against = {tree!r}: {arm!r}: {why}")
    return tree
