"use strict";
// The page is whole without this: it answers pointers and keys, hides arms, and keeps the videos in step.
const LEFT = 50, RIGHT = 426, TOP = 12, BOTTOM = 234; // of a chart's drawing, in its own units: svg.py
const tip = document.getElementById("tip");
const hidden = new Set();

function words(value) {
  if (value === null || value === undefined) return "–";
  const size = Math.abs(value);
  return size >= 100 ? Math.round(value).toLocaleString("en") : Number(value.toPrecision(3)).toString();
}

function showAt(svg, chart, index) {
  const at = chart.at[index], [x0, x1] = chart.x;
  const px = LEFT + (at - x0) / (x1 - x0) * (RIGHT - LEFT);
  let cursor = svg.querySelector(".cursor");
  if (!cursor) {
    cursor = document.createElementNS("http://www.w3.org/2000/svg", "line");
    cursor.setAttribute("class", "cursor");
    svg.append(cursor);
  }
  for (const [name, value] of [["x1", px], ["x2", px], ["y1", TOP], ["y2", BOTTOM]]) cursor.setAttribute(name, value);
  const rows = chart.lines
    .filter(line => !hidden.has(line.arm))
    .map(line => ({ line, value: valueAt(chart, line, index, line.y) }))
    .filter(row => row.value !== null && row.value !== undefined)
    .sort((a, b) => b.value - a.value);
  tip.replaceChildren();
  const head = document.createElement("b");
  head.textContent = words(at);
  tip.append(head);
  for (const { line, value } of rows) {
    const row = document.createElement("div"), mark = document.createElement("i");
    mark.className = line.c;
    const low = line.lo ? valueAt(chart, line, index, line.lo) : null, high = line.hi ? valueAt(chart, line, index, line.hi) : null;
    row.append(mark, `${line.arm} ${words(value)}` + (low === null ? "" : ` (${words(low)} … ${words(high)})`));
    tip.append(row);
  }
  tip.hidden = false;
  const box = svg.getBoundingClientRect(), x = box.left + px / 440 * box.width;
  const left = x + 14 + tip.offsetWidth > innerWidth ? x - 14 - tip.offsetWidth : x + 14;
  tip.style.left = `${Math.max(4, left)}px`;
  tip.style.top = `${Math.min(Math.max(4, box.top + 8), Math.max(4, innerHeight - tip.offsetHeight - 4))}px`;
}

function valueAt(chart, line, index, values) {
  if (!line.at) return values[index];
  // a line with points of its own: the nearest of them, within its ends
  const at = chart.at[index];
  if (at < line.at[0] || at > line.at[line.at.length - 1]) return null;
  let best = 0;
  line.at.forEach((x, i) => { if (Math.abs(x - at) < Math.abs(line.at[best] - at)) best = i; });
  return values[best];
}

function leave(svg) {
  tip.hidden = true;
  svg.querySelector(".cursor")?.remove();
}

for (const svg of document.querySelectorAll("svg[data-chart]")) {
  let chart = null, index = 0;
  const read = () => chart ??= JSON.parse(svg.dataset.chart);
  svg.addEventListener("pointermove", event => {
    const { at, x: [x0, x1] } = read(), box = svg.getBoundingClientRect();
    const value = x0 + ((event.clientX - box.left) / box.width * 440 - LEFT) / (RIGHT - LEFT) * (x1 - x0);
    index = at.reduce((best, x, i) => Math.abs(x - value) < Math.abs(at[best] - value) ? i : best, 0);
    showAt(svg, chart, index);
  });
  svg.addEventListener("pointerleave", () => leave(svg));
  svg.addEventListener("blur", () => leave(svg));
  svg.addEventListener("keydown", event => {
    const moves = { ArrowRight: 1, ArrowLeft: -1, PageUp: 10, PageDown: -10, Home: -1e9, End: 1e9 };
    if (event.key === "Escape") return leave(svg);
    if (!(event.key in moves)) return;
    event.preventDefault();
    index = Math.min(Math.max(index + moves[event.key], 0), read().at.length - 1);
    showAt(svg, chart, index);
  });
}

for (const button of document.querySelectorAll(".legend button")) {
  button.addEventListener("click", () => {
    const arm = button.dataset.arm, off = !hidden.has(arm);
    if (off) hidden.add(arm); else hidden.delete(arm);
    button.setAttribute("aria-pressed", String(!off));
    for (const drawn of document.querySelectorAll(".arm")) if (drawn.dataset.arm === arm) drawn.classList.toggle("off", off);
  });
}

// pointing at an arm, or coming to it by key, makes the others step back
for (const button of document.querySelectorAll(".legend button")) {
  const drawn = [...document.querySelectorAll(".arm")].filter(arm => arm.dataset.arm === button.dataset.arm);
  const loud = on => {
    document.querySelector("main").classList.toggle("quiet", on && !hidden.has(button.dataset.arm));
    for (const arm of drawn) arm.classList.toggle("loud", on);
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
  const show = () => { seek.value = String(1000 * time / length()); clock.textContent = `${time.toFixed(1)} s`; };
  const start = () => {
    if (time >= length() - 0.05) { time = 0; }
    set();
    for (const v of videos) { v.playbackRate = Number(speed.value); if (time < (v.duration || 0)) v.play().catch(() => {}); }
    playing = true; before = performance.now(); play.textContent = "Pause";
    requestAnimationFrame(tick);
  };
  const stop = () => { playing = false; for (const v of videos) v.pause(); play.textContent = "Play"; };
  const tick = now => {
    if (!playing) return;
    time += (now - before) / 1000 * Number(speed.value);
    before = now;
    for (const v of videos) { // who falls behind by more than a tenth of a second is fetched
      if (time < v.duration && Math.abs(v.currentTime - time) > 0.1 * Math.max(1, Number(speed.value))) v.currentTime = time;
    }
    if (time >= length()) { time = length(); stop(); }
    show();
    if (playing) requestAnimationFrame(tick);
  };
  play.addEventListener("click", () => playing ? stop() : start());
  seek.addEventListener("input", () => { time = seek.value / 1000 * length(); set(); show(); });
  speed.addEventListener("change", () => { for (const v of videos) v.playbackRate = Number(speed.value); });
}

addEventListener("beforeprint", () => {
  for (const details of document.querySelectorAll("#maps details")) { details.dataset.was = details.open ? "1" : ""; details.open = true; }
});
addEventListener("afterprint", () => {
  for (const details of document.querySelectorAll("#maps details")) details.open = details.dataset.was === "1";
});
