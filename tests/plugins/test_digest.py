"""A run records the code of the plug-in that ran."""

import hashlib
import subprocess
import sys

CODE = """
import pathlib
from pgcontrol.runs.catalog import use_plugin
file = pathlib.Path("mine.py")
plugin = use_plugin(file)
file.write_text(file.read_text() + "# edited while it runs")
print(plugin.digest)
"""
PLUGIN = """
from pgcontrol.heads.gaussian import Gaussian


class Mine(Gaussian):
    name = "mine"
"""


def test_a_file_that_is_edited_meanwhile_keeps_the_hash_of_what_was_loaded(tmp_path):
    (tmp_path / "mine.py").write_text(PLUGIN)
    done = subprocess.run([sys.executable, "-c", CODE], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    expected = hashlib.sha256(b"mine.py\0" + PLUGIN.encode()).hexdigest()
    assert (done.stdout.strip(), done.stderr) == (expected, "")
