"""Any Gymnasium env with Box spaces as a VecEnv."""

import math
from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium.spaces import Box
from torch import Tensor

from pgcontrol_envs.vector import Ids, Seed, Step, env_ids, seeds_of
