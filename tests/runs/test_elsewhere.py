"""Names of other libraries lead to ours."""

import pytest

from pgcontrol.options import InputError
from pgcontrol.runs import catalog
from pgcontrol.runs.config import configure, flat, nested
from pgcontrol.runs.elsewhere import NAMES, REMARKS

OURS = flat(nested(configure({"env": "Hopper-v5"})))


@pytest.mark.parametrize("name", NAMES)
def test_a_name_of_another_library_leads_to_a_setting(name):
    assert name not in OURS
    assert NAMES[name] in OURS
    for said in (name, f"algorithm.{name}", name.replace("_", "-")):
        with pytest.raises(InputError, match=f"; here it is '{NAMES[name]}'$"):
            configure({"env": "Hopper-v5", said: 1})


@pytest.mark.parametrize("name", REMARKS)
def test_what_is_not_here_says_so(name):
    assert name not in {*OURS, *catalog.algorithms()}
    for settings in ({name: 1}, {"algorithm": name}):
        with pytest.raises(InputError, match=rf"^unknown \w+ '{name}'[^;]*; (not )?here"):
            configure({"env": "Hopper-v5"} | settings)
