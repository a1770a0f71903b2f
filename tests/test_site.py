"""The site as readers get it: built strictly, so no link is dead, and with all that the package lets one use."""

import importlib.util
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest

import pgcontrol
from pgcontrol import commands
from pgcontrol.runs import catalog, metrics

ROOT = Path(__file__).parent.parent
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    needed = ("mkdocs", "material", "mkdocstrings")
    if missing := [name for name in needed if importlib.util.find_spec(name) is None]:
        pytest.skip(f"{', '.join(missing)} not installed: pip install -e '.[docs]'")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return folder


def words(page: Path) -> str:
    return re.sub(r"<[^>]+>", "", page.read_text())


def test_the_reference_has_everything_that_has_a_name(site):
    reference = site / "reference"
    for page, names in {
        "commands": [f"usage: pgcontrol {one.name}" for one in pkgutil.iter_modules(commands.__path__)],
        "metrics": [*metrics.TABLE],
        "settings": [name for table in catalog.KINDS.values() for name in table() if not name.startswith("dm:")],
        "pgcontrol": pgcontrol.__all__,
    }.items():
        said = words(reference / f"{page}.html")
        assert [name for name in names if name not in said] == []


def test_nothing_is_loaded_from_elsewhere(site):
    for page in site.rglob("*.html"):
        found = re.findall(r'<(?:script|img|link)[^>]+(?:src|href)="(https?:[^"]+)"', page.read_text())
        assert found == [], page


def test_links_in_the_text_lead_somewhere(site):
    """Those that MkDocs does not follow, too: of HTML in Markdown, and to files that are no pages."""
    for page in (page for page in site.rglob("*.html") if page.name != "404.html"):  # which is for servers
        for target in re.findall(r'(?:src|href)="([^"#?:]+)["#?]', page.read_text()):
            assert (page.parent / target).exists(), f"{page.relative_to(site)}: {target}"
