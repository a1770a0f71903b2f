"""What every part must keep to, one file a kind of part: the tests ask it of ours, `pgcontrol check` of a plug-in's.

A law is a public function whose docstring's first line says it. It raises Broken, or NotJudged where it cannot tell.
"""
