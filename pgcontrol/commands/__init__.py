"""The commands, one file each: the file's name is the command's, its docstring the line of help.

A command says `arguments(parser)`, what argparse reads, and `run(given) -> exit code`. One with a free list of
settings (`--head.bins 41`) says `SETTINGS = True` and finds them in `given.settings`; its `epilog(given)` goes below
the help. Nothing but the standard library is imported until a command runs, so that help is quick.
"""
