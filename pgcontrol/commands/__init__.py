"""The commands of `pgcontrol`, one file each.

The first line of a file is the command's help. `Options` is a dataclass of its flags and positional arguments, and
`run(options)` returns the exit code. A command that also takes settings has `sections(options, settings)` for its help,
and `run(options, settings)`; such settings are strings by dotted name. Files import slow modules inside these
functions. If a public function does the work, `Options` extends the function's dataclass (`pgcontrol/arguments.py`);
the command calls the function and prints the result.
"""
