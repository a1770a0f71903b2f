"""The mirror image of a body: which part, joint and actuator is the image of which, found from the model's geometry."""

# mujoco is an extension module without types
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import mujoco
import numpy as np

NEAR = 1e-5  # largest difference, by default: of places, m, of directions and angles, rad, and of masses, relative
FREE, BALL, SLIDE, HINGE = range(4)  # mujoco.mjtJoint
WIDTHS = {FREE: (7, 6), BALL: (4, 3), SLIDE: (1, 1), HINGE: (1, 1)}  # numbers in qpos and in qvel


class NoImage(ValueError):
    """A model that is not its own mirror image; the message names the part."""


class Image(NamedTuple):
    """Entry i of a mirrored vector is `sign[i]` times entry `order[i]` of the vector."""

    order: tuple[int, ...]
    sign: tuple[int, ...]

    def after(self, first: int) -> Image:
        """The image of a vector without its first entries."""
        return Image(tuple(i - first for i in self.order[first:]), self.sign[first:])

    def of(self, vectors: np.ndarray) -> np.ndarray:
        """Mirror vectors [..., n]."""
        return vectors[..., list(self.order)] * np.array(self.sign)


def joined(parts: Sequence[Image]) -> Image:
    """The image of concatenated vectors."""
    starts = np.cumsum([0, *(len(part.order) for part in parts)])
    order = (start + i for start, part in zip(starts.tolist(), parts, strict=False) for i in part.order)
    return Image(tuple(order), tuple(s for part in parts for s in part.sign))


class Reflection:
    """The reflection of a model at a plane through the origin, such as left for right (normal y, the default).

    The model must be its own image in the pose `pose`: reflected, each body and its centre of mass lie where those of
    its image are, and its mass, inertia, joints and actuators are those of its image, which may be the body itself.
    Shapes, friction, damping, stiffness and armature are not compared.

    Attributes:
        positions: image of qpos.
        velocities: image of qvel, and of every vector with an entry per degree of freedom.
        controls: image of ctrl.
        polar: signs of x, y, z for places, velocities and forces, [3].
        axial: signs of x, y, z for rotations and torques, [3].
        bodies: the image of each body, by index.
    """

    def __init__(
        self,
        model: mujoco.MjModel,
        normal: str = "y",
        swapped: Mapping[str, str] | None = None,
        pose: np.ndarray | None = None,
        near: float = NEAR,
        alike: float = NEAR,
        turned: float = NEAR,
    ):
        """Find the images.

        Args:
            model: the model.
            normal: the direction that changes its sign: x, y or z.
            swapped: name of a body -> name of its image, where geometry cannot tell, such as two legs in one place.
            pose: a symmetric qpos; None: the model's default, qpos0.
            near: how far a place may be from the image, m. Bodies that are only almost symmetric need more.
            alike: how much masses, inertias and the actuators' gains may differ from those of the image, as a share.
            turned: how much axes and ends of joints' ranges may differ from those of the image, rad or m.

        Raises:
            NoImage: names the part that has no image.
        """
        self.model, self._near, self._share, self._turned, swapped = model, near, alike, turned, dict(swapped or {})
        self._swapped = swapped | {image: name for name, image in swapped.items()}
        self.polar = np.where(np.arange(3) == "xyz".index(normal), -1, 1)
        self.axial, data = -self.polar, mujoco.MjData(model)
        data.qpos[:] = model.qpos0 if pose is None else pose
        at = data.qpos.copy()
        mujoco.mj_kinematics(model, data)
        self._places, self._anchors, self._axes = np.hstack((data.xpos, data.xipos)), data.xanchor, data.xaxis
        self._frames, axes = data.xmat.reshape(-1, 3, 3), data.ximat.reshape(-1, 3, 3)
        self._inertias = axes * model.body_inertia[:, None] @ axes.transpose(0, 2, 1)  # in the world's axes
        self.bodies = self._pair_bodies()
        joints = [self._pair_joint(joint) for joint in range(model.njnt)]
        self.positions = self._of_joints(joints, model.jnt_qposadr, 0)
        self.velocities = self._of_joints(joints, model.jnt_dofadr, 1)
        self.controls = self._of_actuators(joints)
        if len(wrong := np.flatnonzero(~np.isclose(self.positions.of(at), at, atol=NEAR))):
            raise NoImage(f"pose: entry {wrong[0]} of qpos is {at[wrong[0]]:.4g}, which is not symmetric")

    def per_body(self, signs: Sequence[int]) -> Image:
        """The image of a vector with `len(signs)` numbers for each body, the world included."""
        width = len(signs)
        order = (width * image + i for image in self.bodies for i in range(width))
        return Image(tuple(order), tuple(map(int, signs)) * len(self.bodies))

    @property
    def spatial(self) -> Image:
        """The image of `cvel`, `cacc` and `cfrc_ext`: three rotations and three translations for each body."""
        return self.per_body([*self.axial, *self.polar])

    @property
    def inertias(self) -> Image:
        """The image of `cinert`: xx, yy, zz, xy, xz, yz, mass times place, and mass for each body."""
        x, y, z = self.polar
        return self.per_body([1, 1, 1, x * y, x * z, y * z, x, y, z, 1])

    def _pair_bodies(self) -> list[int]:
        """The image of each body; parents come before their children."""
        model, found, taken = self.model, [0], {0}
        for body in range(1, model.nbody):
            asked = self._swapped.get(model.body(body).name)
            parent = found[model.body_parentid[body]]
            near = [
                other
                for other in range(1, model.nbody)
                if other not in taken and model.body_parentid[other] == parent and self._alike(body, other)
            ]
            if asked is not None:
                near = [other for other in near if model.body(other).name == asked]
            if not near:
                raise NoImage(f"body {_name(model.body(body))}: no body of the same mass and inertia is at its image")
            found.append(near[0])
            taken.add(near[0])
        return found

    def _alike(self, body: int, other: int) -> bool:
        masses, image = self.model.body_mass, np.tile(self.polar, 2) * self._places[body]
        same = abs(masses[body] - masses[other]) <= self._share * max(masses[body], NEAR)
        inertia = self._reflected(self._inertias[body])
        same &= np.abs(inertia - self._inertias[other]).max() <= self._share * max(np.abs(inertia).max(), NEAR**2)
        return bool(same and np.abs(image - self._places[other]).max() <= self._near)

    def _reflected(self, matrix: np.ndarray) -> np.ndarray:
        """The image of a matrix [3, 3]."""
        return self.polar[:, None] * matrix * self.polar

    def _pair_joint(self, joint: int) -> tuple[int, int]:
        """The image of a joint, and its sign."""
        model = self.model
        kind, body = model.jnt_type[joint], self.bodies[model.jnt_bodyid[joint]]
        for other in range(model.body_jntadr[body], model.body_jntadr[body] + model.body_jntnum[body]):
            if model.jnt_type[other] != kind:
                continue
            if kind in (FREE, BALL):
                frame = self._reflected(self._frames[model.jnt_bodyid[joint]])
                if np.abs(frame - self._frames[body]).max() <= NEAR:
                    return other, 1
                continue
            image = (self.polar if kind == SLIDE else self.axial) * self._axes[joint]
            sign = int(np.sign(image @ self._axes[other]))
            same = np.abs(image - sign * self._axes[other]).max() <= self._turned
            anchor = self.polar * self._anchors[joint] - self._anchors[other]
            if kind == HINGE:  # an anchor may be anywhere on the axis
                anchor = np.cross(anchor, image)
            if same and (kind == SLIDE or np.abs(anchor).max() <= self._near) and self._same_range(joint, other, sign):
                return other, sign
        there = _name(model.body(body))
        what = f"body {there} has no joint at its image, with the same axis and range"
        raise NoImage(f"joint {_name(model.joint(joint))}: {what}")

    def _same_range(self, joint: int, other: int, sign: int) -> bool:
        limited, ends = self.model.jnt_limited[[joint, other]], self.model.jnt_range
        same = np.allclose(np.sort(sign * ends[joint]), ends[other], atol=self._turned, rtol=NEAR)
        return bool(not limited.any() or (limited.all() and same))

    def _of_joints(self, joints: list[tuple[int, int]], starts: np.ndarray, which: int) -> Image:
        """The image of qpos (`which` 0) or qvel (1)."""
        order, sign = list[int](), list[int]()
        for joint, (image, own) in enumerate(joints):
            kind = int(self.model.jnt_type[joint])
            order += (int(starts[image]) + i for i in range(WIDTHS[kind][which]))
            turned = [1, *self.axial] if which == 0 else [*self.axial]
            sign += {FREE: [*self.polar, *turned], BALL: turned}.get(kind, [own])
        return Image(tuple(order), tuple(map(int, sign)))

    def _of_actuators(self, joints: list[tuple[int, int]]) -> Image:
        found = [self._pair_actuator(actuator, joints) for actuator in range(self.model.nu)]
        return Image(tuple(image for image, _ in found), tuple(sign for _, sign in found))

    def _pair_actuator(self, actuator: int, joints: list[tuple[int, int]]) -> tuple[int, int]:
        """The image of an actuator, and its sign."""
        model, gears = self.model, self.model.actuator_gear[:, 0]
        if model.actuator_trntype[actuator] == mujoco.mjtTrn.mjTRN_JOINT:
            image, sign = joints[model.actuator_trnid[actuator, 0]]
            for other in self._actuators_of(image):
                own = sign * int(np.sign(gears[other] * gears[actuator]))
                if self._same_actuator(actuator, other, own):
                    return other, own
        what = "no actuator of a joint is its image, with the same gear, gain, bias and ranges"
        raise NoImage(f"actuator {_name(model.actuator(actuator))}: {what}")

    def _same_actuator(self, actuator: int, other: int, sign: int) -> bool:
        """Whether `other` has the force of `actuator` for `sign` times its control, and the same range of controls."""
        one, two = self._actuator(actuator, sign), self._actuator(other, 1)
        (limited, *ends), (same, *others) = self._controls(actuator, sign), self._controls(other, 1)
        bounds = limited == same and np.allclose(ends, others, rtol=0, atol=1e-6)  # a policy's bounds must be equal
        return bounds and np.allclose(one, two, rtol=self._share, atol=NEAR)

    def _controls(self, actuator: int, sign: int) -> tuple[float, ...]:
        """Whether controls are limited, and the ends of their range."""
        limited = float(self.model.actuator_ctrllimited[actuator])
        return limited, *(limited * np.sort(sign * self.model.actuator_ctrlrange[actuator])).tolist()

    def _actuator(self, actuator: int, sign: int) -> np.ndarray:
        """Gear, gain, bias, dynamics and force range of an actuator whose control is multiplied by `sign`."""
        model, bias = self.model, self.model.actuator_biasprm[actuator].copy()
        bias[0] *= sign
        kinds = [kind[actuator] for kind in (model.actuator_gaintype, model.actuator_biastype, model.actuator_dyntype)]
        limited = model.actuator_forcelimited[actuator]
        forces = limited * np.sort(sign * model.actuator_forcerange[actuator])
        gear, gain = abs(model.actuator_gear[actuator, :1]), model.actuator_gainprm[actuator]
        return np.concatenate((kinds, [limited], forces, bias, gear, gain, model.actuator_dynprm[actuator]))

    def _actuators_of(self, joint: int) -> Iterator[int]:
        kinds, driven = self.model.actuator_trntype, self.model.actuator_trnid[:, 0]
        yield from (a for a in range(self.model.nu) if kinds[a] == mujoco.mjtTrn.mjTRN_JOINT and driven[a] == joint)


def _name(part: object) -> str:
    return getattr(part, "name", "") or str(getattr(part, "id", ""))
