"""The documentation: built strictly, so no link is dead, and complete with respect to the package."""

import dataclasses
import importlib
import importlib.util
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest

import pgcontrol
from pgcontrol import commands
from pgcontrol.cli import CommonOptions
from pgcontrol.measures.verdicts import Limits
from pgcontrol.options import NoOptions
from pgcontrol.runs import catalog, metrics
from pgcontrol.runs.cloning import CloneConfig
from pgcontrol.runs.config import PARTS, Config

ROOT = Path(__file__).parent.parent
# of an algorithm of the reader's, of a tokenizer, a negation, and flags of `tensorboard`, `ray start` and torchrun
OTHERS = {"algorithm.n", "head.OPTION", "no_open", "logdir", "address", "nnodes", "nproc_per_node"}


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


def flags() -> set[str]:
    """Every flag and setting, with underscores; of tasks' settings only the prefix."""
    modules = (
        importlib.import_module(f"pgcontrol.commands.{one.name}") for one in pkgutil.iter_modules(commands.__path__)
    )
    groups = {"": [getattr(module, "Options", NoOptions) for module in modules]}
    groups[""] += [CommonOptions, Config, CloneConfig, Limits]
    for kind, table in catalog.KINDS.items():
        prefix = "head." if kind == "tokenizer" else f"{kind}."
        groups.setdefault(prefix, []).extend(getattr(part, "Options", NoOptions) for part in table().values())
    return {*PARTS} | {
        f"{at}{f.name}" for at, classes in groups.items() for c in classes for f in dataclasses.fields(c)
    }


def test_flags_in_the_text_exist():
    known = flags() | OTHERS
    for page in (ROOT / "docs").rglob("*.md"):
        text = page.read_text()
        if page.name == "coming-from.md":  # the first column has the flags of others
            text = re.sub(r"^\| [^|]+\|", "", text, flags=re.MULTILINE)
        found = {flag.rstrip(".").replace("-", "_") for flag in re.findall(r"(?<![\w-])--([a-zA-Z][\w.-]*)", text)}
        settings = {f"no_{field.name}" for field in dataclasses.fields(Config) if isinstance(field.default, bool)}
        assert {flag for flag in found if not flag.startswith("env.")} <= known | settings, page


def words(page: Path) -> str:
    return re.sub(r"<[^>]+>", "", page.read_text())


@pytest.mark.slow
def test_the_reference_has_everything_that_has_a_name(site):
    reference = site / "reference"
    for page, names in {
        "commands": [f"usage: pgcontrol {one.name}" for one in pkgutil.iter_modules(commands.__path__)],
        "metrics": [*metrics.table()],
        "settings": [name for table in catalog.KINDS.values() for name in table() if not name.startswith("dm:")],
        "pgcontrol": pgcontrol.__all__,
    }.items():
        said = words(reference / f"{page}.html")
        assert [name for name in names if name not in said] == []


@pytest.mark.slow
def test_nothing_is_loaded_from_elsewhere(site):
    for page in site.rglob("*.html"):
        found = re.findall(r'<(?:script|img|link)[^>]+(?:src|href)="(https?:[^"]+)"', page.read_text())
        assert found == [], page


@pytest.mark.slow
def test_links_in_the_text_lead_somewhere(site):
    """Also links that MkDocs does not check: HTML in Markdown, and links to files that are no pages."""
    for page in (page for page in site.rglob("*.html") if page.name != "404.html"):  # which is for servers
        for target in re.findall(r'(?:src|href)="([^"#?:]+)["#?]', page.read_text()):
            assert (page.parent / target).exists(), f"{page.relative_to(site)}: {target}"
