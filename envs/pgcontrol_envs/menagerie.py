"""Visual models of MuJoCo Menagerie's robots, for videos, if `mujoco-menagerie` is installed and has their files.

The variable MENAGERIE_ROOT may name a copy of the menagerie; otherwise its cache is used. Nothing is downloaded.
"""

# mujoco is an extension module without types
# pyright: reportAttributeAccessIssue=false

import mujoco
import numpy as np

from pgcontrol_envs.arrays import Array
from pgcontrol_envs.task import python_warnings


def look(robot: str, model: mujoco.MjModel) -> tuple[mujoco.MjModel, Array] | None:
    """The menagerie's scene with a robot, and for each entry of its qpos the index of the entry in `model`'s qpos.

    Joints are matched by name; a suffix `_joint` is ignored. None if the package or the files are missing, or if the
    joints differ.

    Args:
        robot: the menagerie's name, such as "unitree_go1".
        model: model of the same robot; its first joint is a free joint.
    """
    try:
        import mujoco_menagerie
    except ImportError:
        return None
    try:
        cache, found = mujoco_menagerie.Cache(), mujoco_menagerie.get(robot)
        if cache.root is None and not cache.is_cached(found):
            return None
        with python_warnings():
            scene = found.model(cache=cache)
    except (OSError, ValueError, LookupError, mujoco_menagerie.MenagerieError):
        return None
    ours = {model.joint(i).name.removesuffix("_joint"): int(model.jnt_qposadr[i]) for i in range(1, model.njnt)}
    theirs = {scene.joint(i).name.removesuffix("_joint"): int(scene.jnt_qposadr[i]) for i in range(1, scene.njnt)}
    if ours.keys() != theirs.keys() or scene.nq != model.nq:
        return None
    order = np.arange(model.nq)
    order[[*theirs.values()]] = [ours[name] for name in theirs]
    return scene, order
