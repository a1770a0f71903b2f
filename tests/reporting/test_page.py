"""The page as a browser shows it: whole, readable, without the network."""

import re

import pytest

from pgcontrol.text import short
from tests.reporting.conftest import HOSTILE, LIGHT, wait_until

DARK, PHONE = (
    {"viewport": {"width": 1280, "height": 900}, "color_scheme": "dark"},
    {"viewport": {"width": 360, "height": 740}, "color_scheme": "dark"},
)

MARKS = """() => [...document.querySelectorAll("svg.chart, .figures svg")].filter(svg => {
  const marks = [...svg.querySelectorAll(".line, .run, .hollow, .estimate, .route, image")];
  const seen = mark => { const box = mark.getBBox(); return box.width + box.height > 0; };
  return svg.getClientRects().length && !marks.some(seen);
}).map(svg => svg.getAttribute("aria-label"))"""

CONTRAST = """() => {
  const rgb = text => text.match(/[0-9.]+/g).slice(0, 3).map(Number);
  const light = c => { const [r, g, b] = c.map(v => (v /= 255) <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);
    return .2126 * r + .7152 * g + .0722 * b; };
  const ratio = (a, b) => { const [x, y] = [light(a), light(b)].sort((p, q) => q - p); return (x + .05) / (y + .05); };
  const paper = rgb(getComputedStyle(document.body).backgroundColor), poor = [];
  const judge = (selector, property, least) => { for (const element of document.querySelectorAll(selector)) {
    const found = ratio(rgb(getComputedStyle(element)[property]), paper);
    if (found < least) poor.push(`${selector} ${element.textContent.slice(0, 20)} ${found.toFixed(2)}`);
  } };
  judge("p, h1, h2, h3, h4, a, td, th, figcaption, .legend button, summary, li", "color", 4.5);
  judge("svg text", "fill", 4.5);
  judge(".line", "stroke", 3);
  return poor;
}"""

FRAMES = """() => Promise.all([...document.querySelectorAll("video")].map(async video => {
  if (video.readyState < 2) await new Promise(done => video.addEventListener("loadeddata", done, { once: true }));
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [video.videoWidth, video.videoHeight];
  const context = canvas.getContext("2d");
  context.drawImage(video, 0, 0);
  return context.getImageData(0, 0, canvas.width, canvas.height).data[0];
}))"""


@pytest.fixture(params=[LIGHT, DARK, PHONE], ids=["light", "dark", "phone"])
def shown(request, browser, page):
    """The page, read without network; fails if the browser reports anything."""
    context = browser.new_context(**request.param, offline=True)
    tab = context.new_page()
    said: list[str] = []
    tab.on("console", lambda message: said.append(message.text))
    tab.on("pageerror", lambda error: said.append(str(error)))
    tab.on("requestfailed", lambda asked: said.append(asked.url[:80]))
    tab.goto(page.as_uri())
    yield tab
    context.close()
    assert said == []


def test_every_plot_has_marks_and_says_n(shown):
    assert shown.locator("svg.chart").count() > 15
    assert shown.evaluate(MARKS) == []
    captions = shown.locator(".figures figcaption").all_text_contents()
    assert captions
    assert [c for c in captions if "n = " not in c] == []
    assert any(f"no interval: {HOSTILE}" in c for c in captions)


def test_nothing_scrolls_sideways_but_tables(shown):
    assert shown.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_text_and_lines_stand_out_from_the_paper(shown):
    assert shown.evaluate(CONTRAST) == []


def test_every_video_shows_its_first_frame(shown):
    firsts = shown.evaluate(FRAMES)
    assert len(firsts) == 2
    assert all(abs(grey - 90) < 12 for grey in firsts)


PLANTED = """() => {
  const found = [];
  addEventListener("securitypolicyviolation", event => found.push(event.effectiveDirective));
  window.ran = 0;
  document.body.insertAdjacentHTML("beforeend", `<img src=x onerror="ran = 1"><img src="https://example.com/x.png">
    <iframe src="https://example.com"></iframe><p style="color: red" id="red">x</p>`);
  const script = document.createElement("script");
  script.textContent = "ran = 2";
  document.body.append(script);
  return new Promise(done => setTimeout(() =>
    done([ran, getComputedStyle(document.getElementById("red")).color, [...new Set(found)].sort()]), 300));
}"""


def test_markup_that_got_into_the_page_neither_runs_nor_loads_anything(tab):
    """As if a name were not escaped: the policy allows the page's own style and script and nothing else."""
    ran, colour, refused = tab.evaluate(PLANTED)
    assert ran == 0
    assert colour != "rgb(255, 0, 0)"
    assert refused == ["frame-src", "img-src", "script-src-attr", "script-src-elem", "style-src-attr"]


def test_a_chart_answers_pointer_and_keys(tab):
    chart = tab.locator("#learning svg[data-chart]").first
    chart.hover()
    assert "bins" in tab.locator("#tip").inner_text()
    chart.focus()
    tab.keyboard.press("End")
    text = tab.locator("#tip").inner_text()
    assert "1,000" in text
    assert "gaussian 98.4" in text  # 102 · (1 − e^(−1000/300)), the middle seed
    tab.keyboard.press("Escape")
    assert tab.locator("#tip").is_hidden()


def test_every_chart_is_reached_by_key_and_tells_its_numbers(tab):
    """At once, and from its first point on."""
    assert tab.locator("svg.chart:not([tabindex])").count() == 0
    tip = tab.locator("#tip")
    tab.keyboard.press("Tab")  # so that focus is a keyboard's
    tab.locator("#learning svg.chart").first.focus()
    assert tip.inner_text() == "20"  # where no episode has ended yet
    tab.keyboard.press("ArrowRight")
    assert tip.inner_text().startswith("36.6")
    tab.locator("#scores svg.chart").first.focus()
    assert tip.inner_text().split("\n")[:3] == ["bins", "202 (200 … 204), n = 5", "seed 0: 200"]
    tab.keyboard.press("ArrowDown")
    assert tip.inner_text().startswith(f"{HOSTILE}\n")
    tab.locator("#maps details[open] svg.chart").first.focus()
    assert "deviation" in tip.inner_text()
    tab.locator("#routes svg.chart").first.focus()
    assert "of episodes" in tip.inner_text()


def test_every_chart_says_what_it_is_of(tab):
    labels = tab.locator("svg.chart").evaluate_all("found => found.map(svg => svg.getAttribute('aria-label'))")
    tasks = ("Fork-v0", "HalfCheetah-v5", "All tasks", "over 2 tasks")
    assert [label for label in labels if not any(task in label for task in tasks)] == []
    assert len(set(labels)) == len(labels)


def test_a_finger_asks_a_chart_and_its_answer_stays(browser, page):
    context = browser.new_context(**PHONE, has_touch=True)
    tab = context.new_page()
    tab.goto(page.as_uri())
    for chart in ("#learning svg.chart", "#scores svg.chart"):
        tab.locator(chart).first.tap()
        assert "gaussian" in tab.locator("#tip").inner_text()
        assert tab.locator("#tip").is_visible()
    tab.locator("h1").tap()
    assert tab.locator("#tip").is_hidden()
    context.close()


def test_the_script_writes_numbers_as_the_page_does(tab):
    numbers = [0, 0.00123456, -0.5, 0.98765, 9.999, 12.345, 99.94, 99.96, 123.4, -1234.4, 1234567.8]
    assert tab.evaluate("numbers => numbers.map(words)", numbers) == [short(number) for number in numbers]


def test_pointing_at_an_arm_leaves_its_own_charts_as_they_are(tab):
    tab.locator("#spread details summary").first.click()
    tab.locator(".legend button", has_text="bins").hover()
    opacity = """title => { const figure = [...document.querySelectorAll("#spread figure")]
      .find(f => f.querySelector("h3").textContent.includes(title));
      return [figure, figure.querySelector(".line").parentElement].map(e => Number(getComputedStyle(e).opacity)); }"""
    tab.wait_for_timeout(300)  # the transition
    assert tab.evaluate(opacity, "bins, spread per joint")[0] == 1
    assert tab.evaluate(opacity, "bins, spread per joint")[1] > 0.6
    assert tab.evaluate(opacity, "mixture, spread per joint")[0] < 0.5


def test_an_arm_that_is_hidden_is_hidden_everywhere(tab):
    tab.locator("#spread details summary").first.click()
    tab.locator(".legend button", has_text="bins").click()
    for part in ("#answer tr", "#spread figure", "#videos figure", "#runs tbody", "#routes figure"):
        found = tab.locator(f'{part}[data-arm="bins"]')
        assert found.count() > 0, part
        assert not any(element.is_visible() for element in found.all()), part
        assert tab.locator(f'{part}[data-arm="gaussian"]').first.is_visible(), part


def test_an_arm_can_be_hidden_by_key(tab):
    button = tab.locator(".legend button", has_text="bins")
    lines = tab.locator('#learning [data-arm="bins"]').first
    button.focus()
    tab.keyboard.press("Enter")
    assert button.get_attribute("aria-pressed") == "false"
    assert not lines.is_visible()
    tab.keyboard.press("Enter")
    assert lines.is_visible()


def test_videos_play_in_step_and_stop_together(tab):
    times = "[...document.querySelectorAll('video')].map(v => v.currentTime)"
    tab.evaluate(FRAMES)
    tab.locator("#seek").fill("400")  # of the longer one's three seconds
    first, second = tab.evaluate(times)
    assert first == pytest.approx(1.2, abs=0.05)
    assert second == pytest.approx(1.2, abs=0.05)
    tab.locator("#seek").fill("900")  # the shorter one has ended by then
    first, second = tab.evaluate(times)
    assert first == pytest.approx(2.7, abs=0.05)
    assert second == pytest.approx(2.0, abs=0.1)
    tab.locator("#seek").fill("0")
    tab.locator("#play").click()
    wait_until(tab, "document.querySelector('video').currentTime > 0.2")
    tab.locator("#play").click()
    first, second = tab.evaluate(times)
    assert abs(first - second) < 0.3


def test_a_video_that_has_ended_plays_on_where_the_time_is_set_back(tab):
    tab.evaluate(FRAMES)
    tab.locator("#speed").select_option("0.25")  # four seconds to set the time back in
    tab.locator("#seek").fill("600")  # 1.8 s; the shorter one ends at 2, the longer at 3
    tab.locator("#play").click()
    wait_until(tab, "document.querySelectorAll('video')[1].ended")
    tab.locator("#seek").fill("100")
    wait_until(tab, "document.querySelectorAll('video')[1].currentTime > 0.5")
    assert tab.evaluate("[...document.querySelectorAll('video')].map(v => v.paused)") == [False, False]


WITHIN = """() => [...document.querySelectorAll("svg text")].filter(text => {
  if (!text.getClientRects().length) return false;
  const [a, b] = [text, text.ownerSVGElement].map(e => e.getBoundingClientRect());
  return a.left < b.left - 1 || a.right > b.right + 1 || a.top < b.top - 1 || a.bottom > b.bottom + 1;
}).map(text => text.textContent)"""


def test_words_stay_within_their_charts(shown):
    shown.evaluate("for (const details of document.querySelectorAll('details')) details.open = true")
    assert shown.evaluate(WITHIN) == []


WRAPPED = """() => [...document.querySelectorAll("td.n")].filter(cell => {
  const range = document.createRange();
  range.selectNodeContents(cell);
  return range.getClientRects().length > 1;
}).map(cell => cell.textContent)"""


def test_tables_fit_an_a4_page(browser, page):
    context = browser.new_context(viewport={"width": 688, "height": 1000})
    tab = context.new_page()
    tab.goto(page.as_uri())
    tab.emulate_media(media="print")
    assert tab.evaluate(
        "[...document.querySelectorAll('table')].every(t => t.scrollWidth <= t.parentElement.clientWidth)"
    )
    assert tab.evaluate(WRAPPED) == []
    assert tab.locator(".runs tr + tr").first.is_hidden()
    context.close()


def test_print_is_dark_on_white_and_without_controls(browser, page):
    context = browser.new_context(**DARK)
    tab = context.new_page()
    tab.goto(page.as_uri())
    tab.emulate_media(media="print")
    assert tab.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert tab.evaluate(CONTRAST) == []
    assert tab.locator(".player").is_hidden()
    assert tab.locator("svg.chart").first.is_visible()
    context.close()


def test_what_the_yaml_says_is_text_and_no_markup(tab):
    """It is not left out, either; `shown` checks in the console that it does not run."""
    assert tab.locator("h1").inner_text() == "Does <b>a second bin</b> help?"
    assert tab.locator(".legend button", has_text=HOSTILE).count() == 1
    assert tab.locator("figcaption", has_text=HOSTILE).count() > 1
    assert tab.locator("img").count() == 0
    assert tab.locator("figcaption code").first.inner_text() == "train/std"


def test_no_mark_of_markdown_is_left(tab):
    """The same sentences are used for Markdown files."""
    assert not re.search(r"\*\w[^*]*\w\*", tab.locator("main").inner_text())
