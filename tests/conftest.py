"""One thread a test process: tests run side by side, and threads that spin for each other's cores cost minutes.

And a browser, for those that look at what was drawn.
"""

import os
import shutil
from collections.abc import Callable, Iterator

os.environ["OMP_NUM_THREADS"] = "1"  # also for the processes that tests start

import pytest
import torch
from pgcontrol_envs import plugins

from pgcontrol import parts
from pgcontrol.machine import graphics

torch.set_num_threads(1)

APART = """() => {
  const texts = [...document.querySelectorAll("text:not(.letter)")];
  const found = texts.map(text => [text.textContent, text.getBoundingClientRect()]);
  const all = document.querySelector("svg").getBoundingClientRect();
  const within = b => b.left >= all.left && b.right <= all.right && b.top >= all.top && b.bottom <= all.bottom;
  // three pixels are what a line of letters leaves free above and below
  const meet = (a, b) => a.left < b.right && b.left < a.right && a.top < b.bottom - 3 && b.top < a.bottom - 3;
  return [...found.filter(([, box]) => !within(box)).map(([words]) => words),
    ...found.flatMap(([words, a], i) => found.slice(0, i).filter(([, b]) => meet(a, b)).map(([on]) => [words, on]))];
}"""


@pytest.fixture(scope="session")
def browser() -> Iterator:
    """An installed Chromium, without a window."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install '.[dev]'")
    found = next((f for name in ("chromium", "chromium-browser", "google-chrome") if (f := shutil.which(name))), None)
    if found is None:
        pytest.skip("no Chromium to read the report with: apt-get install chromium")
    with playwright.sync_playwright() as started:
        # a sandbox needs a user that is not root
        launched = started.chromium.launch(executable_path=found, args=["--no-sandbox"] if os.geteuid() == 0 else [])
        yield launched
        launched.close()


@pytest.fixture
def apart(browser) -> Iterator[Callable[[str], None]]:
    """Asserts of a file of SVG that its words are within it, and none on another."""
    context = browser.new_context()
    tab = context.new_page()

    def judge(file: str) -> None:
        tab.set_content(file)
        assert tab.evaluate(APART) == []

    yield judge
    context.close()


@pytest.fixture(scope="session")
def backend() -> str:
    """The OpenGL backend of this machine; tests that draw are skipped where there is none."""
    found = graphics.probe()
    if found.graphics is None:
        pytest.skip(f"no OpenGL backend works here: {found.failures}; {graphics.advice()}")
    return found.graphics.backend


@pytest.fixture
def without_plugins(monkeypatch) -> None:
    """As in a new process; other tests pass plug-ins on to child processes."""
    for name in (plugins.VARIABLE, parts.ACCEPT):
        monkeypatch.delenv(name, raising=False)
