"use strict";
// The page is complete without this script. It handles pointer and keyboard, hides arms, and synchronises the videos.
const tip = document.getElementById("tip");
const hidden = new Set();
let shown = null; // the chart whose numbers are in the tooltip, and the position: {svg, x, y}, as shares of width and height

function words(value) { // like `short` in pgcontrol/text.py
  if (value === null || value === undefined) return "–";
  const size = Math.abs(value);
  return size >= 100 ? Math.round(value).toLocaleString("en") : Number(value.toPrecision(3)).toString();
}

const seen = drawn => !(drawn.arm && hidden.has(drawn.name));

function tell(svg, x, y, head, lines) {
  tip.replaceChildren();
  const title = document.createElement("b");
  title.textContent = head;
  tip.append(title);
  for (const { c, text } of lines) {
    const row = document.createElement("div"), mark = document.createElement("i");
    mark.className = c;
    row.append(...(c ? [mark] : []), text);
    tip.append(row);
  }
  shown = { svg, x, y };
  place();
}

function place() {
  const box = shown.svg.getBoundingClientRect(), x = box.left + shown.x * box.width, y = box.top + shown.y * box.height;
  if (box.bottom < 0 || box.top > innerHeight) return leave(shown.svg);
  const left = x + 14 + tip.offsetWidth > innerWidth ? x - 14 - tip.offsetWidth : x + 14;
  tip.style.left = `${Math.max(4, Math.min(left, innerWidth - tip.offsetWidth - 4))}px`;
  tip.style.top = `${Math.min(Math.max(4, y + 8), Math.max(4, innerHeight - tip.offsetHeight - 4))}px`;
}

function leave(svg) {
  if (shown?.svg === svg) { tip.replaceChildren(); shown = null; }
  svg.querySelector(".cursor")?.remove();
}

function showAt(svg, chart, index) { // the numbers of curves at a point
  const at = chart.at[index], [x0, x1] = chart.x, [left, right, top, bottom] = chart.box, size = svg.viewBox.baseVal;
  const px = left + (at - x0) / (x1 - x0) * (right - left);
  let cursor = svg.querySelector(".cursor");
  if (!cursor) {
    cursor = document.createElementNS("http://www.w3.org/2000/svg", "line");
    cursor.setAttribute("class", "cursor");
    svg.append(cursor);
  }
  for (const [name, value] of [["x1", px], ["x2", px], ["y1", top], ["y2", bottom]]) cursor.setAttribute(name, value);
  const lines = chart.lines
    .filter(seen)
    .map(line => ({ line, value: valueAt(chart, line, index, line.y) }))
    .filter(row => row.value !== null && row.value !== undefined)
    .sort((a, b) => b.value - a.value)
    .map(({ line, value }) => {
      const low = line.lo ? valueAt(chart, line, index, line.lo) : null, high = line.hi ? valueAt(chart, line, index, line.hi) : null;
      return { c: line.c, text: `${line.name} ${words(value)}` + (low === null ? "" : ` (${words(low)} … ${words(high)})`) };
    });
  tell(svg, px / size.width, 0, words(at), lines);
}

function showRow(svg, chart, index) { // the text of an arm or of a route
  const row = chart.rows[index];
  tell(svg, 0.5, row.y === undefined ? 0 : row.y / svg.viewBox.baseVal.height, row.name, row.says.map((text, i) => ({ c: i ? "" : row.c, text })));
}

function valueAt(chart, line, index, values) {
  if (!line.at) return values[index];
  // a line with its own points: the nearest of them, within its ends
  const at = chart.at[index];
  if (at < line.at[0] || at > line.at[line.at.length - 1]) return null;
  return values[nearest(line.at, at)];
}

function nearest(values, wanted) {
  return values.reduce((best, value, i) => Math.abs(value - wanted) < Math.abs(values[best] - wanted) ? i : best, 0);
}

const CHARTS = "svg[data-chart]", HOLDERS = "details, .figures";
const holders = new Set([...document.querySelectorAll(CHARTS)].map(svg => svg.closest(HOLDERS)));
const groups = [...holders].map(holder => [...holder.querySelectorAll(CHARTS)]);

function settle(group, wanted) { // one tab stop: the wanted chart, or the current one, or the first visible one
  const there = group.filter(svg => !svg.closest(".off"));
  const stop = [wanted, group.find(svg => svg.tabIndex === 0)].find(svg => there.includes(svg)) ?? there[0];
  for (const svg of group) svg.tabIndex = svg === stop ? 0 : -1;
  return there;
}

for (const [svg, group] of groups.flatMap(group => group.map(svg => [svg, group]))) {
  let chart = null, index = 0;
  const read = () => {
    if (!chart) {
      chart = JSON.parse(svg.dataset.chart);
      if (chart.rows?.[0]?.y !== undefined) for (const title of svg.querySelectorAll("title")) title.remove(); // the tooltip shows it
    }
    return chart;
  };
  const show = () => {
    const { rows } = read();
    if (!rows) return showAt(svg, chart, index);
    if (rows.length && seen(rows[index])) showRow(svg, chart, index);
  };
  const point = event => {
    const { rows, at, x, box: [left, right] = [] } = read(), area = svg.getBoundingClientRect(), size = svg.viewBox.baseVal;
    if (rows) {
      if (rows[0]?.y === undefined) return; // paths have their own titles
      index = nearest(rows.map(row => row.y), (event.clientY - area.top) / area.height * size.height);
    } else {
      const px = (event.clientX - area.left) / area.width * size.width;
      index = nearest(at, x[0] + (px - left) / (right - left) * (x[1] - x[0]));
    }
    show();
  };
  svg.addEventListener("pointermove", point);
  svg.addEventListener("pointerdown", point);
  // on touch screens the tooltip stays when the finger is lifted
  svg.addEventListener("pointerleave", event => { if (event.pointerType !== "touch") leave(svg); });
  svg.addEventListener("focus", () => { settle(group, svg); if (svg.matches(":focus-visible")) show(); });
  svg.addEventListener("blur", () => leave(svg));
  svg.addEventListener("keydown", event => {
    if (event.key === "Escape") return leave(svg);
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    const others = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 };
    if (event.shiftKey && event.key in others) {
      const there = settle(group, svg);
      event.preventDefault();
      return there[there.indexOf(svg) + others[event.key]]?.focus();
    }
    const { rows, at } = read(), last = (rows ?? at).length - 1;
    const moves = { ArrowRight: 1, ArrowLeft: -1, PageUp: 10, PageDown: -10, Home: -1e9, End: 1e9 };
    if (rows) Object.assign(moves, { ArrowDown: 1, ArrowUp: -1 });
    if (!(event.key in moves)) return;
    event.preventDefault();
    const before = index, by = moves[event.key];
    index = Math.min(Math.max(index + by, 0), last);
    while (rows && !seen(rows[index]) && rows[index + Math.sign(by)]) index += Math.sign(by);
    if (rows && rows.length && !seen(rows[index])) index = before;
    show();
  });
}
for (const group of groups) settle(group, group[0]);
addEventListener("scroll", () => { if (shown) place(); }, { passive: true });
document.addEventListener("pointerdown", event => { if (shown && !shown.svg.contains(event.target)) leave(shown.svg); });

for (const button of document.querySelectorAll(".legend button")) {
  const arm = button.dataset.arm;
  const drawn = [...document.querySelectorAll(".arm")].filter(element => element.dataset.arm === arm);
  button.addEventListener("click", () => {
    const off = !hidden.has(arm);
    if (off) hidden.add(arm); else hidden.delete(arm);
    button.setAttribute("aria-pressed", String(!off));
    for (const element of drawn) element.classList.toggle("off", off);
    for (const group of groups) settle(group);
  });
  // hovering or focusing a button fades the other arms
  const loud = on => {
    document.querySelector("main").classList.toggle("quiet", on && !hidden.has(arm));
    for (const element of drawn) element.classList.toggle("loud", on);
  };
  for (const event of ["pointerenter", "focus"]) button.addEventListener(event, () => loud(true));
  for (const event of ["pointerleave", "blur", "click"]) button.addEventListener(event, () => loud(false));
}

const videos = [...document.querySelectorAll("video")];
if (videos.length) {
  const play = document.getElementById("play"), seek = document.getElementById("seek");
  const speed = document.getElementById("speed"), clock = document.getElementById("clock");
  const length = () => Math.max(...videos.map(v => v.duration || 0), 0.001);
  let time = 0, playing = false, before = 0;
  const set = () => { for (const v of videos) v.currentTime = Math.min(time, Math.max(0, (v.duration || 0) - 0.02)); };
  const show = () => {
    const text = time.toFixed(1);
    seek.value = String(1000 * time / length());
    seek.setAttribute("aria-valuetext", `${text} seconds`);
    clock.textContent = `${text} s`;
  };
  const start = () => {
    if (time >= length() - 0.05) { time = 0; }
    set();
    for (const v of videos) v.playbackRate = Number(speed.value);
    playing = true; before = performance.now(); play.textContent = "Pause";
    requestAnimationFrame(tick);
  };
  const stop = () => { playing = false; for (const v of videos) v.pause(); play.textContent = "Play"; };
  const tick = now => {
    if (!playing) return;
    time += (now - before) / 1000 * Number(speed.value);
    before = now;
    for (const v of videos.filter(v => time < v.duration)) {
      // seek if a video is off by more than a tenth of a second; play if it had ended before the time was set back
      if (Math.abs(v.currentTime - time) > 0.1 * Math.max(1, Number(speed.value))) v.currentTime = time;
      if (v.paused && !v.ended) v.play().catch(() => {});
    }
    if (time >= length()) { time = length(); stop(); }
    show();
    if (playing) requestAnimationFrame(tick);
  };
  for (const v of videos) v.controls = false; // one player for all videos
  document.querySelector(".player").hidden = false;
  play.addEventListener("click", () => playing ? stop() : start());
  seek.addEventListener("input", () => { time = seek.value / 1000 * length(); set(); show(); });
  speed.addEventListener("change", () => { for (const v of videos) v.playbackRate = Number(speed.value); });
}

const folded = () => document.querySelectorAll("#maps details, #spread details, #runs > details");
addEventListener("beforeprint", () => {
  for (const details of folded()) { details.dataset.was = details.open ? "1" : ""; details.open = true; }
});
addEventListener("afterprint", () => {
  for (const details of folded()) details.open = details.dataset.was === "1";
});
