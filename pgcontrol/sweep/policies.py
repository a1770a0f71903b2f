"""Whether the policies of a search can be made on all tasks, checked before hours are spent on it."""

from contextlib import closing
from typing import Any

from pgcontrol.options import InputError
from pgcontrol.runs.config import configure
from pgcontrol.runs.load import make_env, make_policy, policy_spec
from pgcontrol.sweep import space
from pgcontrol.sweep.search import Search
from pgcontrol.sweep.sweep import Sweep
from pgcontrol.text import typed


def require_policies(sweep: Sweep, asked: Search) -> None:
    """Check that every arm can have a policy with each end of the space, on the tasks of the search and of the sweep.

    Raises:
        InputError: a head needs another value on a task, for example more codes for more joints.
    """
    tasks = {arm: {*asked.tasks_of(arm)} for arm in asked.searched()}
    if not asked.per_task:
        for cell in sweep.cells:
            tasks.get(cell.key.arm, set()).add(cell.key.env)
    seen = set[str]()
    for task in sorted(set[str]().union(*tasks.values())):
        with closing(make_env(task, 1, 0)) as env:
            for arm in (arm for arm, those in tasks.items() if task in those):
                numbers = {axis.name for axis in asked.axes_of(arm) if not axis.words}
                for axis, corner in space.corners(asked.axes_of(arm), asked.settings(arm, task)):
                    names = {key: value for key, value in corner.items() if key not in numbers}
                    for value in [corner[axis.name]] if axis.words else axis.ends:
                        spec = policy_spec(configure(names | {axis.name: value}, together=False), env)
                        if (text := repr(sorted(spec.items()))) not in seen:
                            seen.add(text)
                            _require_policy(spec, f"{axis.name} = {typed(value)}: {arm} on {task}")


def _require_policy(spec: dict[str, Any], where: str) -> None:
    try:
        make_policy(spec, 0)
    except InputError as error:
        raise InputError(f"search: space: {where}: {error}") from None
