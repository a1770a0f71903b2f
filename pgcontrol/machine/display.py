"""Whether there is a screen to show something on."""

from __future__ import annotations

import os
import sys
import warnings


def has_display() -> bool:
    """Whether a window can be opened. Linux asks GLFW: Studio itself would wait for ever for a display that is gone."""
    if not sys.platform.startswith("linux"):
        return True
    if not any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY")):
        return False
    import glfw

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the answer says it
        if not glfw.init():
            return False
    glfw.terminate()
    return True
