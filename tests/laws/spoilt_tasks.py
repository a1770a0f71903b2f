"""Defective tasks, one for each law."""

import itertools
from typing import Any

import numpy as np
from pgcontrol_envs.tasks.go1 import Go1
from pgcontrol_envs.tasks.hopper import Hopper
from pgcontrol_envs.tasks.needle import Needle


def counting(method):
    """Adds its number of calls to a method's result: a hidden state."""

    def counted(self, *args):
        self.asked = getattr(self, "asked", 0) + 1
        return method(self, *args) + self.asked

    return counted


def in_turn(self):
    """Observations in one of three buffers, which are overwritten later."""
    self.turn = getattr(self, "turn", itertools.cycle([np.empty((len(self.velocity), 11)) for _ in range(3)]))
    buffer = next(self.turn)
    buffer[:] = Hopper.observe(self)
    return buffer


def for_all(self, physics, ids, rng):
    Hopper.reset(self, physics, ids, rng)
    physics.qvel[:] = 0


def breakable(self, action, before, terminated):
    reward, terms = Hopper.reward(self, action, before, terminated)
    return np.where((abs(action) == 1).all(-1), np.nan, reward), terms


INSTANCES = itertools.count()


def bind_numbered(self, physics):
    Hopper.bind(self, physics)
    self.number = next(INSTANCES)


def noting(self):
    self.outside += 1


def bind_masses(self, physics):
    Hopper.bind(self, physics)
    self.mass, self.time = physics.expand("body_mass"), physics.time


def grow(self):
    """Later than the steps of the contract's check."""
    self.mass[self.time > 0.1] = 2 * self.model.body_mass


TASKS: dict[str, tuple[type, dict[str, Any], str]] = {
    "methods_return_what_the_contract_says": (
        Hopper,
        {"observe": lambda self: Hopper.observe(self).astype(np.float32)},
        r"Spoilt.observe: returned \[3, 11\] float32; expected \[N, O\] = \[3, 11\] float64",
    ),
    "terms_add_up_to_the_reward": (
        Hopper,
        {"reward": lambda self, *args: (Hopper.reward(self, *args)[0] + 0.5, Hopper.reward(self, *args)[1])},
        r"the sum of its terms \(reward_",
    ),
    "what_a_step_returned_stays_as_it_was": (Hopper, {"observe": in_turn}, "observe, at its step and later"),
    "resets_differ_between_environments_and_episodes": (
        Hopper,
        {"reset_noise": 0.0},
        "reset: 1 of 12 starts differ; .*reset_noise",
    ),
    "equal_seeds_give_equal_trajectories": (
        Hopper,
        {"observe": lambda self: Hopper.observe(self) + np.random.rand()},
        "trajectories of one seed",
    ),
    "a_partial_reset_leaves_the_others_alone": (Hopper, {"reset": for_all}, "reset of env 1: 'integration'"),
    "an_environment_does_not_depend_on_its_neighbours": (
        Hopper,
        {"observe": lambda self: Hopper.observe(self) - self.velocity.mean()},
        "env 1 of three and the same one alone",
    ),
    "threads_change_nothing": (
        Hopper,
        {"observe": lambda self: Hopper.observe(self) + self.number, "bind": bind_numbered},
        "on one thread and on two",
    ),
    "it_continues_to_the_bit_through_files": (Hopper, {"observe": counting(Hopper.observe)}, "after load_state"),
    "inactive_environments_stand_still": (Hopper, {"observe": counting(Hopper.observe)}, "inactive envs"),
    "a_second_call_of_remember_changes_nothing": (Needle, {"remember": noting}, "remember a second time"),
    "derived_fields_of_the_model_are_up_to_date": (
        Hopper,
        {"bind": bind_masses, "remember": grow},
        r"of the model: call physics.set_const\(ids\)",
    ),
    "actions_at_the_bounds_stay_finite": (Hopper, {"reward": breakable}, "reward: .* in step 0 at the bounds"),
    "its_interface_describes_it": (
        Go1,
        {"interface": lambda self: Go1.interface(self) | {"mjcf": Go1.mjcf(self).replace('"0.68"', '"1"')}},
        "interface.mjcf: accelerations",
    ),
}
