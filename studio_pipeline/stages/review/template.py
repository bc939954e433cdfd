"""The review page as a Jinja template; a Python module, so that an edit changes the stage's code digest."""

from __future__ import annotations

__all__ = ["PAGE"]

PAGE = """\
{% macro pill(passed) -%}
<span class="pill {{ 'good' if passed else 'bad' }}">{{ "passed" if passed else "failed" }}</span>
{%- endmacro %}
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{{ shot.id }} · review</title>
<style>
:root {
  --paper: #f6f7f9; --card: #ffffff; --ink: #1b1e25; --soft: #5c6472; --line: #e2e5ea; --fill: #eef0f4;
  --accent: #3157d5; --good: #15803d; --good-fill: #e4f5ea; --bad: #b91c1c; --bad-fill: #fde8e8;
  --c0: #3157d5; --c1: #e0722a; --c2: #15927a; --c3: #a23bb5; --c4: #8a6d1d; --c5: #d1345b;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #12141a; --card: #1a1d25; --ink: #e8eaf0; --soft: #98a1b2; --line: #2b303b; --fill: #232732;
    --accent: #8ba6ff; --good: #5fd38d; --good-fill: #16301f; --bad: #ff8f8f; --bad-fill: #3a1b1e;
    --c0: #8ba6ff; --c1: #f4a261; --c2: #4fd1b5; --c3: #d795e6; --c4: #d8bb5e; --c5: #ff8fab;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 15px/1.55 system-ui, -apple-system, "Segoe UI",
  Roboto, "Helvetica Neue", Arial, sans-serif; font-variant-numeric: tabular-nums; }
main, header { max-width: 1240px; margin: 0 auto; padding: 0 24px; }
header { padding-top: 32px; padding-bottom: 8px; }
.kicker { color: var(--soft); font-size: 12px; letter-spacing: .09em; text-transform: uppercase; font-weight: 600; }
h1 { font-size: 30px; line-height: 1.2; margin: 2px 0 6px; letter-spacing: -.01em; overflow-wrap: anywhere; }
h2 { font-size: 18px; margin: 40px 0 12px; letter-spacing: -.005em; }
h3 { font-size: 14px; margin: 0; }
.brief { font-size: 17px; margin: 0 0 14px; max-width: 75ch; }
.facts { display: flex; flex-wrap: wrap; gap: 8px; margin: 0; padding: 0; list-style: none; }
.facts li { background: var(--fill); border-radius: 999px; padding: 3px 12px; font-size: 13px; color: var(--soft); }
.facts b { color: var(--ink); font-weight: 600; }
.facts .good { background: var(--good-fill); color: var(--good); font-weight: 600; }
.facts .bad { background: var(--bad-fill); color: var(--bad); font-weight: 600; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 12px; overflow: hidden; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 12px; margin-top: 20px; }
.tile { padding: 14px 16px; }
.tile b { display: block; font-size: 26px; line-height: 1.2; font-weight: 650; letter-spacing: -.02em; }
.tile span { color: var(--soft); font-size: 13px; }
.player { background: #1c1e24; margin-top: 20px; }
.player video { display: block; width: 100%; max-height: 78vh; object-fit: contain; background: #1c1e24; }
.controls { display: flex; align-items: center; gap: 10px; padding: 10px 14px; background: var(--card);
  border-top: 1px solid var(--line); flex-wrap: wrap; }
.controls button { font: inherit; font-size: 14px; min-width: 38px; height: 34px; padding: 0 10px; cursor: pointer;
  border-radius: 8px; border: 1px solid var(--line); background: var(--fill); color: var(--ink); }
.controls button:hover { border-color: var(--accent); }
.controls button:focus-visible, .controls input:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
.controls input { flex: 1 1 200px; accent-color: var(--accent); min-width: 120px; }
.controls output { font-weight: 600; min-width: 13ch; text-align: right; }
.hint { color: var(--soft); font-size: 12.5px; margin: 8px 2px 0; }
kbd { font: inherit; font-size: 11.5px; background: var(--fill); border: 1px solid var(--line); border-radius: 5px;
  padding: 0 5px; }
.grid { display: grid; grid-template-columns: repeat(auto-fill, minmax(360px, 1fr)); gap: 16px; }
.split { display: grid; grid-template-columns: minmax(0, 2fr) minmax(0, 1fr); gap: 16px; align-items: start; }
.pad { padding: 14px 16px; }
.note { color: var(--soft); font-size: 13px; margin: 2px 0 8px; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: 14px; }
th { text-align: left; color: var(--soft); font-weight: 600; font-size: 12px; letter-spacing: .04em;
  text-transform: uppercase; }
th, td { padding: 8px 14px; border-bottom: 1px solid var(--line); vertical-align: top; }
tr:last-child td { border-bottom: 0; }
td.word { white-space: nowrap; }
.pill { display: inline-block; border-radius: 999px; padding: 1px 10px; font-size: 12.5px; font-weight: 600;
  white-space: nowrap; background: var(--fill); color: var(--soft); }
.pill.good { background: var(--good-fill); color: var(--good); }
.pill.bad { background: var(--bad-fill); color: var(--bad); }
.meter { display: inline-block; width: 64px; height: 6px; border-radius: 3px; background: var(--fill);
  vertical-align: middle; margin-right: 8px; overflow: hidden; }
.meter i { display: block; height: 100%; background: var(--accent); border-radius: 3px; }
.stage { display: flex; flex-direction: column; }
.stage .top { display: flex; justify-content: space-between; align-items: center; gap: 8px; padding: 12px 16px; }
.stage .top small { color: var(--soft); font-weight: 400; }
.stage .shots { display: grid; grid-auto-flow: column; grid-auto-columns: 1fr; gap: 1px; background: var(--line);
  border-block: 1px solid var(--line); }
.stage .shots img { width: 100%; height: 220px; object-fit: contain; background: var(--fill); display: block; }
dl { margin: 0; padding: 10px 16px 14px; display: grid; grid-template-columns: auto 1fr; gap: 2px 14px;
  font-size: 13px; }
dt { color: var(--soft); }
dd { margin: 0; text-align: right; overflow-wrap: anywhere; }
img.sheet { display: block; width: 100%; }
svg { display: block; width: 100%; height: auto; }
svg .grid { stroke: var(--line); stroke-width: 1; }
svg text { font-size: 11px; fill: var(--soft); }
svg .curve { fill: none; stroke-width: 2; stroke-linejoin: round; stroke-linecap: round; }
svg .bars { fill: var(--c0); }
svg .c0 { stroke: var(--c0); } svg .c1 { stroke: var(--c1); } svg .c2 { stroke: var(--c2); }
svg .c3 { stroke: var(--c3); } svg .c4 { stroke: var(--c4); } svg .c5 { stroke: var(--c5); }
.legend { display: flex; flex-wrap: wrap; gap: 4px 14px; font-size: 12.5px; color: var(--soft); padding: 4px 0 0 6px; }
.key::before { content: ""; display: inline-block; width: 14px; height: 3px; border-radius: 2px; margin-right: 6px;
  vertical-align: middle; background: currentColor; }
.key.c0::before { background: var(--c0); } .key.c1::before { background: var(--c1); }
.key.c2::before { background: var(--c2); } .key.c3::before { background: var(--c3); }
.key.c4::before { background: var(--c4); } .key.c5::before { background: var(--c5); }
blockquote { margin: 0; padding: 14px 16px; border-left: 3px solid var(--accent); }
footer { color: var(--soft); font-size: 12.5px; padding: 32px 0 40px; }
@media (max-width: 760px) {
  main, header { padding-left: 14px; padding-right: 14px; }
  .split { grid-template-columns: minmax(0, 1fr); }
  .grid { grid-template-columns: minmax(0, 1fr); }
  h1 { font-size: 24px; }
}
@media print { .controls, .hint { display: none; } body { background: #fff; } }
</style>
</head>
<body>
<header>
  <div class="kicker">Shot review</div>
  <h1>{{ shot.id }}</h1>
  {% if shot.brief %}<p class="brief">{{ shot.brief }}</p>{% endif %}
  <ul class="facts">
    <li><b>{{ shot.frames[0] }}&ndash;{{ shot.frames[1] }}</b>
      {%- if shot.handles %} + {{ shot.handles }} handles{% endif %}</li>
    <li><b>{{ shot.fps }}</b> fps</li>
    <li><b>{{ shot.resolution[0] }} &times; {{ shot.resolution[1] }}</b> px</li>
    <li><b>{{ material.character.name }}</b>, {{ "%.4g" | format(material.character.height_m) }} m</li>
    {% if gates %}
    <li class="{{ 'bad' if failed else 'good' }}">
      {{ failed ~ " of " ~ gates | length ~ " gates failed" if failed else "all " ~ gates | length ~ " gates passed" }}
    </li>
    {% endif %}
  </ul>
</header>
<main>
  <section class="card player" aria-label="Clip, lift and refinement side by side">
    <video id="video" src="{{ media.side_by_side }}" muted loop playsinline preload="auto"></video>
    <div class="controls">
      <button id="back" title="One frame back" aria-label="One frame back">◀</button>
      <button id="play" title="Play or pause" aria-label="Play or pause">Play</button>
      <button id="next" title="One frame on" aria-label="One frame on">▶</button>
      <input id="scrub" type="range" min="0" max="{{ count - 1 }}" value="0" step="1" aria-label="Frame">
      <output id="frame">{{ first }}</output>
    </div>
  </section>
  <p class="hint"><kbd>space</kbd> plays and pauses, <kbd>←</kbd> <kbd>→</kbd> step a frame, <kbd>Home</kbd>
    <kbd>End</kbd> go to the ends. Frame numbers are the shot's.</p>

  <section class="tiles">
    {% for name, title, value in figures %}
    <div class="card tile"><b>{{ "%.4g" | format(value) }}</b><span>{{ title }}</span></div>
    {% endfor %}
  </section>

  <h2>Contact sheet and turntable</h2>
  <section class="split">
    <div class="card"><img class="sheet" src="{{ media.contact_sheet }}"
      alt="Clip, lift and refinement at some frames"></div>
    <div class="card"><video src="{{ media.turntable }}" style="display:block;width:100%" autoplay muted loop
      playsinline aria-label="Refined pose of the middle frame from all sides"></video></div>
  </section>

  {% if gates %}
  <h2>Gates</h2>
  <section class="card scroll">
    <table>
      <thead><tr><th>Stage</th><th>Gate</th><th>Verdict</th><th>What was found</th></tr></thead>
      <tbody>
      {% for gate in gates %}
      <tr><td class="word">{{ gate.stage | replace("_", " ") }}</td>
        <td class="word">{{ gate.name | replace("_", " ") }}</td>
        <td>{{ pill(gate.passed) }}</td>
        <td>{{ gate.message }}</td></tr>
      {% endfor %}
      </tbody>
    </table>
  </section>
  {% endif %}

  <h2>Measurements</h2>
  <section class="grid">
    {% for chart in charts %}
    <div class="card pad"><h3>{{ chart.title }}</h3><p class="note">{{ chart.note }}</p>{{ chart.drawing }}</div>
    {% endfor %}
  </section>

  <h2>Directives</h2>
  {% if directives.narrative %}<blockquote class="card">{{ directives.narrative }}</blockquote><p></p>{% endif %}
  <section class="card scroll">
    <table>
      <thead><tr><th>Field</th><th>Value</th><th>Origin</th><th>Confidence</th></tr></thead>
      <tbody>
      {% for item in directives.values() %}
      <tr><td class="word">{{ item.field }}</td><td>{{ item.value | replace("_", " ") }}</td>
        <td><span class="pill">{{ item.origin }}</span></td>
        <td class="word"><span class="meter"><i style="width:{{ (item.confidence * 100) | round | int }}%"></i></span>
          {{ "%.2f" | format(item.confidence) }}</td></tr>
      {% else %}
      <tr><td colspan="4">none</td></tr>
      {% endfor %}
      </tbody>
    </table>
  </section>
  {% for conflict in directives.conflicts %}<p class="hint">Conflict: {{ conflict }}</p>{% endfor %}

  {% if takes.rows %}
  <h2>Takes</h2>
  <p class="hint" style="margin:0 0 12px">{{ takes.reason }}</p>
  <section class="grid" style="align-items:start">
    {% for row in takes.rows %}
    <div class="card stage">
      <div class="top"><h3>Take {{ row.take }} <small>{{ row.backend }}</small></h3>
        <span>{% if row.followed %}<span class="pill">followed</span> {% endif %}{{ pill(row.passed) }}</span></div>
      {% if row.picture %}
      <div class="shots"><img src="{{ row.picture }}" alt="Frames of take {{ row.take }}"></div>
      {% endif %}
      <dl><dt>score</dt><dd>{{ "%.3f" | format(row.score) }}</dd>
        {% for name, value, width in row.heads %}
        <dt>{{ name }}</dt><dd><span class="meter"><i style="width:{{ width }}%"></i></span>
          {{ "%.1f" | format(value) }} of 5</dd>
        {% endfor %}
        <dt>fidelity</dt><dd>{{ "not read" if row.fidelity is none else "%.2f" | format(row.fidelity) }}</dd></dl>
      {% for text in row.asked + row.remarks %}<p class="hint" style="padding:0 16px">{{ text }}</p>{% endfor %}
    </div>
    {% endfor %}
  </section>
  {% endif %}

  <h2>Stages</h2>
  <section class="grid" style="align-items:start">
    {% for stage in stages %}
    <div class="card stage">
      <div class="top"><h3>{{ stage.title }}{% if stage.backend %} <small>{{ stage.backend }}</small>{% endif %}</h3>
        {% if stage.gates %}{{ pill(stage.passed) }}{% endif %}</div>
      {% if stage.pictures %}
      <div class="shots">{% for uri in stage.pictures %}<img src="{{ uri }}" alt="{{ stage.title }}">{% endfor %}</div>
      {% endif %}
      {% if stage.figures %}
      <dl>{% for name, value in stage.figures %}<dt>{{ name }}</dt><dd>{{ value }}</dd>{% endfor %}</dl>
      {% endif %}
    </div>
    {% endfor %}
  </section>
  <footer>Made by studio_pipeline {{ version }}. This page needs no network: everything on it is inside the
    file.</footer>
</main>
<script>
(() => {
  const fps = {{ fps_value }}, first = {{ first }}, count = {{ count }};
  const video = document.getElementById("video"), scrub = document.getElementById("scrub");
  const label = document.getElementById("frame"), play = document.getElementById("play");
  let index = 0;
  const show = () => { scrub.value = index; label.textContent = "frame " + (first + index); };
  // The middle of a frame's time: rounding can't land on its neighbour.
  const go = (to) => {
    video.pause();
    index = Math.min(Math.max(to, 0), count - 1);
    video.currentTime = (index + 0.5) / fps;
    show();
  };
  const toggle = () => (video.paused ? video.play() : go(index));
  const follow = () => {
    if (!video.paused) { index = Math.min(Math.floor(video.currentTime * fps + 1e-3), count - 1); show(); }
    requestAnimationFrame(follow);
  };
  video.addEventListener("play", () => { play.textContent = "Pause"; });
  video.addEventListener("pause", () => { play.textContent = "Play"; });
  video.addEventListener("click", toggle);
  play.addEventListener("click", toggle);
  document.getElementById("back").addEventListener("click", () => go(index - 1));
  document.getElementById("next").addEventListener("click", () => go(index + 1));
  scrub.addEventListener("input", () => go(Number(scrub.value)));
  document.addEventListener("keydown", (event) => {
    const keys = { " ": toggle, ArrowLeft: () => go(index - 1), ArrowRight: () => go(index + 1),
      Home: () => go(0), End: () => go(count - 1) };
    const action = keys[event.key];
    if (!action || (event.key === " " && event.target.tagName === "BUTTON")) return;
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    action();
  });
  show();
  requestAnimationFrame(follow);
})();
</script>
</body>
</html>
"""
