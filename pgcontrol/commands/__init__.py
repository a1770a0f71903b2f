"""What `pgcontrol` can do, one file a command.

A file's first line is the command's help. `Options` is a dataclass of its flags and places, and `run(options)` returns
the exit code. A command that takes settings beside its flags has `sections(options, settings)`, which its help shows,
and `run(options, settings)`; such settings are strings by dotted name. Files import what is slow in these functions.
Where a public function does the work, `Options` begin with its own (`pgcontrol/arguments.py`): the command calls it and
prints the result.
"""
