"""Laws that every part must keep, one file per kind of part: tests check them for ours, `pgcontrol check` for plug-ins.

A law is a public function; the first line of its docstring states it. It raises Broken, or NotJudged if it cannot tell.
"""
