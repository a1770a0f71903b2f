"""The benchmarking tasks of the DeepMind Control Suite, a file each domain; ids are dm:DOMAIN-TASK, in its own words.

For equal seeds and actions they walk dm_control's trajectories to the bit; see tests/envs/test_suite_parity.py.
"""
