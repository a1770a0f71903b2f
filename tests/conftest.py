"""One thread a test process: tests run side by side, and threads that spin for each other's cores cost minutes."""

import os

os.environ["OMP_NUM_THREADS"] = "1"  # also for the processes that tests start

import torch

torch.set_num_threads(1)
