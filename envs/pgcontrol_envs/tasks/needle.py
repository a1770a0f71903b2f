"""Needle: a two-link arm under gravity holds its tip at a point, within two millimetres."""

from pgcontrol_envs.arrays import Array, angle, cos, exp, join, norm, sin, stack, where
from pgcontrol_envs.task import Camera, Physics, Streams, Task, Terms

GRAVITY = 9.81


class Needle(Task):
    """Bring the tip to a random point and hold it there, within `tolerance`, against gravity. Never terminates.

    The experiment: resolution of the torque, and nothing else. At every point, gravity requires a different torque,
    which is hardly ever on a grid, so a coarse grid must alternate between two neighbours. At 20 Hz the tip then swings
    by ½ (torque error / inertia) dt², about 3 mm for 11 values per joint. The demonstrator's torques, rounded to 11
    values, keep the tip within 2 mm for 10 % of the time; the best of all 121 pairs, tried in the simulator, for 12 %;
    21 values for 32 %, 41 for 73 %, 101 for all of it. Noise has the same effect: σ = 0.05 half-ranges leaves 14 %,
    0.02 57 %, 0.01 93 %. So bins need to be many, tokens need resolution, and a Gaussian needs a σ that can become
    small. The observation contains the error at a coarse and a fine scale, so it is never the limit.

    Measure: the fraction of steps within the tolerance (reward_hold), and success: within it for the last `hold`
    seconds.

    Attributes:
        tolerance: largest distance of the tip from the point, m.
        hold: time within the tolerance that counts as success, s.
        posture: start angles of the joints, rad, the shoulder's from the horizontal; each varies by up to 0.1.
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
        """Keep views of joints, target and the time the tip was last outside [N, 1]; compute the arm's moments."""
        self.theta, self.target, self.velocity = physics.qpos[:, :2], physics.qpos[:, 2:], physics.qvel[:, :2]
        self.time, self.outside = physics.time, physics.userdata
        model = self.model
        upper, fore, tip = (self.body(name) for name in ("upper", "fore", "tip"))
        # moments of the links and the tip about their joints, for the demonstrator's model of the arm
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
        """The arm bent and at rest; a target that the arm reaches with shoulder and elbow in their middle range."""
        physics.qpos[ids, :2] = rng.uniform(-0.1, 0.1, 2)
        for joint, middle in enumerate(self.posture):
            physics.qpos[ids, joint] += middle
        shoulder, elbow = rng.uniform(-0.5, 0.6, 1), rng.uniform(0.6, 1.8, 1)
        physics.qpos[ids, 2:] = self.reach(join(shoulder, elbow))

    def tip(self) -> Array:
        """Position of the tip in the arm's plane, m [N, 2]: for the current state (`xpos` lags by a substep)."""
        return self.reach(self.theta)

    def observe(self) -> Array:
        """Cosines and sines of the joints, velocities, target, and tip − target at two scales [N, 12]."""
        error = self.tip() - self.target
        fine = error / (abs(error) + 0.01)
        return join(cos(self.theta), sin(self.theta), 0.1 * self.velocity, 2.0 * self.target, 10.0 * error, fine)

    def reward(self, action: Array, before: None, terminated: Array) -> tuple[Array, Terms]:
        """Minus the distance in dm, plus up to 1 within the last centimetre, plus 1 within the tolerance."""
        distance = norm(self.tip() - self.target)
        dist, near, hold = -10.0 * distance, exp(-100.0 * distance), 1.0 * (distance <= self.tolerance)
        return dist + near + hold, {"reward_dist": dist, "reward_near": near, "reward_hold": hold}

    def remember(self) -> None:
        """Store the time if the tip is outside the tolerance."""
        within = norm(self.tip() - self.target) <= self.tolerance
        self.outside[:, 0] = where(within, self.outside[:, 0], self.time)

    def route(self) -> Array:
        """0 if the tip has been within the tolerance for the last `hold` seconds; else -1."""
        return 1 * (self.time - self.outside[:, 0] > self.hold - 0.5 * self.dt) - 1

    def demonstrate(self, route: Array, noise: Array) -> Array:
        """Computed torque control: a stiff spring towards the target's posture, with a model of the arm."""
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
        """Position of the tip for joint angles [n, 2], m [n, 2]."""
        (upper, fore), first = self.lengths, theta[:, 0]
        both = first + theta[:, 1]
        return stack(upper * cos(first) + fore * cos(both), upper * sin(first) + fore * sin(both))
