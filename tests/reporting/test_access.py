"""The page is complete without a mouse, without sight, and without scripts."""

import itertools

import pytest

from tests.reporting.conftest import LIGHT, wait_until

HEADINGS = "[...document.querySelectorAll('h1, h2, h3, h4, h5, h6')].map(heading => Number(heading.tagName[1]))"
STOPS = """() => [...document.querySelectorAll("svg.chart")].filter(svg => svg.tabIndex === 0)
  .map(svg => svg.getAttribute("aria-label"))"""
FOCUSED = "document.activeElement.getAttribute('aria-label')"


def test_headings_skip_no_level(tab):
    levels = tab.evaluate(HEADINGS)
    assert levels[:2] == [1, 2]
    assert max(b - a for a, b in itertools.pairwise(levels)) == 1


def test_a_group_of_charts_is_one_tab_stop(tab):
    """Tab leads into it, Shift and an arrow from chart to chart, and back to the same place."""
    groups = tab.locator(".figures, #maps details").count()
    assert len(tab.evaluate(STOPS)) == groups < tab.locator("svg.chart").count()
    tab.locator("#learning .figures").first.locator("svg.chart").first.focus()
    for key, label in (
        ("ArrowRight", "return over wall time"),
        ("ArrowRight", "return over wall time"),
        ("ArrowUp", "return"),
    ):
        tab.keyboard.press(f"Shift+{key}")
        assert tab.evaluate(FOCUSED) == f"Fork-v0: {label}"
        assert tab.locator("#tip").inner_text() != ""
    tab.keyboard.press("Shift+ArrowDown")
    tab.keyboard.press("Tab")
    assert tab.evaluate(FOCUSED) == "HalfCheetah-v5: return"
    tab.keyboard.press("Shift+Tab")
    assert tab.evaluate(FOCUSED) == "Fork-v0: return over wall time"
    assert len(tab.evaluate(STOPS)) == groups


def test_a_group_keeps_a_tab_stop_where_its_chart_is_hidden(tab):
    assert "Fork-v0: gaussian, routes" in tab.evaluate(STOPS)
    tab.locator(".legend button", has_text="gaussian").click()
    assert "Fork-v0: bins, routes" in tab.evaluate(STOPS)
    tab.locator("#routes svg.chart >> visible=true").first.focus()
    tab.keyboard.press("Shift+ArrowLeft")  # to where there is nothing to be seen
    assert tab.evaluate(FOCUSED) == "Fork-v0: bins, routes"


def test_keys_of_the_browser_are_left_to_it(tab):
    tab.locator("#learning svg.chart").first.focus()
    tab.evaluate("addEventListener('keydown', event => { window.taken = event.defaultPrevented; })")
    for key, taken in (("ArrowLeft", True), ("Alt+ArrowDown", False), ("Control+End", False)):
        tab.keyboard.press(key)
        assert tab.evaluate("window.taken") == taken, key


def test_readouts_of_a_chart_are_in_a_live_region(tab):
    """A screen reader announces a live region when its content changes, if it was rendered before."""
    look = "getComputedStyle(document.getElementById('tip'))"
    regions = tab.locator("[role=status], [aria-live], output")
    assert regions.evaluate_all("found => found.map(element => element.id)") == ["tip"]
    assert tab.evaluate(f"[{look}.display, {look}.visibility]") == ["block", "visible"]
    assert tab.locator("#tip").is_hidden()  # it has no size
    tab.locator("#learning svg.chart").first.focus()
    tab.keyboard.press("End")
    assert tab.locator("#tip").is_visible()


def test_the_slider_announces_the_time_in_seconds(tab):
    wait_until(tab, "[...document.querySelectorAll('video')].every(v => v.duration)")
    seek = tab.locator("#seek")
    assert seek.get_attribute("aria-valuetext") == "0.0 seconds"
    seek.fill("500")
    assert seek.get_attribute("aria-valuetext") == "1.5 seconds"
    assert tab.locator("#clock").inner_text() == "1.5 s"
    assert tab.locator("#clock").get_attribute("aria-hidden") == "true"


@pytest.mark.parametrize("script", [True, False])
def test_videos_have_one_player_or_without_a_script_their_own(browser, page, script):
    context = browser.new_context(**LIGHT, java_script_enabled=script)
    opened = context.new_page()
    opened.goto(page.as_uri())
    assert opened.locator("video").count() == 2
    assert opened.locator("video[controls]").count() == (0 if script else 2)
    assert opened.locator("#play").is_visible() == script
    context.close()
