"""The benchmarking tasks of the DeepMind Control Suite, one file per domain. Ids are dm:DOMAIN-TASK, as in the suite.

For equal seeds and actions, trajectories are bit-identical to dm_control's; see tests/envs/test_suite_parity.py.
"""
