"""Needle: a two-link arm under gravity holds its tip at a point, to two millimetres."""

from pgcontrol_envs.arrays import Array, angle, cos, exp, join, norm, sin, stack, where
from pgcontrol_envs.task import Camera, Physics, Streams, Task, Terms

GRAVITY = 9.81


class Needle(Task):
    """Bring the tip to a random point and hold it there, within `tolerance`, against gravity. Never terminates.

    The experiment: resolution in torque, and nothing else. Gravity asks for a torque of its own at every point, hardly
    ever one of a grid's, so a coarse grid must alternate between its neighbours; at 20 Hz the tip then swings by
    ½ (torque off / inertia) dt², which for 11 values a joint is some 3 mm. The demonstrator's torques rounded to 11
    values keep the tip within 2 mm for 10 % of the time, the best of all 121 pairs as tried in the simulator for 12 %,
    21 values for 32 %, 41 for 73 %, 101 for all of it. Noise does the same: σ = 0.05 of the half-range leaves 14 %,
    0.02 57 %, 0.01 93 %. So here bins need number, tokens resolution, and a Gaussian a σ that is free to fall. The
    observation shows the error as on a vernier, coarse and fine: what the policy sees is never the limit.

    Measure: the share of steps within the tolerance (reward_hold), and success: within it for the last `hold` seconds.

    Attributes:
        tolerance: m.
        hold: s.
        posture: angles of the joints at the start, rad, shoulder from the horizontal; each off by up to 0.1.
    """

    id = "Needle-v0"
    xml = "needle.xml"
    frame_skip = 25
    time_limit = 100
    routes = ("held",)
    camera = Camera(distance=1.2, elevation=0.0, lookat=(0.2, 0.05, 0.0))
    tolerance = 0.002
    hold = 1.0
    posture = (0.0, 1.2)

    def bind(self, physics: Physics) -> None:
        """Joint angles and velocities, target, when the tip was last outside the tolerance [N, 1], and the arm."""
        self.theta, self.target, self.velocity = physics.qpos[:, :2], physics.qpos[:, 2:], physics.qvel[:, :2]
        self.time, self.outside = physics.time, physics.userdata
        model = self.model
        upper, fore, tip = (self.body(name) for name in ("upper", "fore", "tip"))
        # the links' moments and the tip's, about their joints, for the demonstrator's model of the arm
        masses, inertia, offset = model.body_mass, model.body_inertia.max(-1), model.body_ipos[:, 0]
        self.lengths = float(model.body_pos[fore, 0]), float(model.body_pos[tip, 0])
        beyond = self.lengths[1] + offset[tip]
        self._first = float(masses[upper] * offset[upper])
        self._second = float(masses[fore] * offset[fore] + masses[tip] * beyond)
        self._carried = float(masses[fore] + masses[tip])
        self._inertia = (
            float(inertia[upper] + masses[upper] * offset[upper] ** 2 + self._carried * self.lengths[0] ** 2),
            float(inertia[fore] + masses[fore] * offset[fore] ** 2 + inertia[tip] + masses[tip] * beyond**2),
        )
        self.damping, self.gear = physics.array(model.dof_damping[:2]), physics.array(model.actuator_gear[:, 0])

    def reset(self, physics: Physics, ids: Array, rng: Streams) -> None:
        """The arm bent and at rest; the target where the arm reaches with shoulder and elbow in their middle range."""
        physics.qpos[ids, :2] = rng.uniform(-0.1, 0.1, 2)
        for joint, middle in enumerate(self.posture):
            physics.qpos[ids, joint] += middle
        shoulder, elbow = rng.uniform(-0.5, 0.6, 1), rng.uniform(0.6, 1.8, 1)
        physics.qpos[ids, 2:] = self.reach(join(shoulder, elbow))

    def tip(self) -> Array:
        """Place of the tip in the arm's plane, m [N, 2]: of the present state, where `xpos` lags by a substep."""
        return self.reach(self.theta)

    def observe(self) -> Array:
        """Cosines and sines of the joints, velocities, target, and tip - target coarse and fine [N, 12]."""
        error = self.tip() - self.target
        fine = error / (abs(error) + 0.01)
        return join(cos(self.theta), sin(self.theta), 0.1 * self.velocity, 2.0 * self.target, 10.0 * error, fine)

    def reward(self, action: Array, before: None, terminated: Array) -> tuple[Array, Terms]:
        """Minus the distance in decimetres, up to 1 for the last centimetre, and 1 within the tolerance."""
        distance = norm(self.tip() - self.target)
        dist, near, hold = -10.0 * distance, exp(-100.0 * distance), 1.0 * (distance <= self.tolerance)
        return dist + near + hold, {"reward_dist": dist, "reward_near": near, "reward_hold": hold}

    def remember(self) -> None:
        """The time, where the tip is outside the tolerance."""
        within = norm(self.tip() - self.target) <= self.tolerance
        self.outside[:, 0] = where(within, self.outside[:, 0], self.time)

    def route(self) -> Array:
        """0 where the tip has been within the tolerance for `hold` seconds now; -1 elsewhere."""
        return 1 * (self.time - self.outside[:, 0] > self.hold - 0.5 * self.dt) - 1

    def demonstrate(self, route: Array, noise: Array) -> Array:
        """Computed torque: a stiff spring towards the target's posture, through a model of the arm."""
        (upper, fore), (x, z) = self.lengths, (self.target[:, 0], self.target[:, 1])
        bend = ((x**2 + z**2 - upper**2 - fore**2) / (2 * upper * fore)).clip(-1.0, 1.0)
        straight = (1.0 - bend**2) ** 0.5
        goal = stack(angle(z, x) - angle(fore * straight, upper + fore * bend), angle(straight, bend))
        want = 280.0 * (goal - self.theta).clip(-0.3, 0.3) - 28.0 * self.velocity
        shoulder, elbow = self.theta[:, 0], self.theta[:, 1]
        first, second = self._inertia
        cross = upper * self._second * cos(elbow)
        swing = upper * self._second * sin(elbow)
        rate = self.velocity
        pull = GRAVITY * self._second * cos(shoulder + elbow)
        torque = stack(
            (first + second + 2 * cross) * want[:, 0]
            + (second + cross) * want[:, 1]
            - swing * (2 * rate[:, 0] + rate[:, 1]) * rate[:, 1]
            + GRAVITY * (self._first + self._carried * upper) * cos(shoulder)
            + pull,
            (second + cross) * want[:, 0] + second * want[:, 1] + swing * rate[:, 0] ** 2 + pull,
        )
        return ((torque + self.damping * rate) / self.gear + 0.002 * noise).clip(-1.0, 1.0)

    def reach(self, theta: Array) -> Array:
        """Where joint angles [n, 2] bring the tip, m [n, 2]."""
        (upper, fore), first = self.lengths, theta[:, 0]
        both = first + theta[:, 1]
        return stack(upper * cos(first) + fore * cos(both), upper * sin(first) + fore * sin(both))
