"""The page of a comparison: the wipe, or both previews, above what differs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["compare_page"]

_PAGE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{{ shot }} {{ stage }} · {{ versions[0].version }} and {{ versions[1].version }}</title>
<style>
:root { --paper: #f6f7f9; --card: #fff; --ink: #1b1e25; --soft: #5c6472; --line: #e2e5ea; --good: #15803d;
  --bad: #b91c1c; --mark: #fff4d6; }
@media (prefers-color-scheme: dark) { :root { --paper: #12141a; --card: #1a1d25; --ink: #e8eaf0; --soft: #98a1b2;
  --line: #2b303b; --good: #5fd38d; --bad: #ff8f8f; --mark: #3a3216; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 15px/1.5 system-ui, -apple-system, "Segoe UI",
  Roboto, "Helvetica Neue", Arial, sans-serif; font-variant-numeric: tabular-nums; }
main { max-width: 1100px; margin: 0 auto; padding: 28px 24px 60px; }
h1 { font-size: 26px; margin: 0 0 4px; overflow-wrap: anywhere; }
h2 { font-size: 17px; margin: 32px 0 8px; }
p { margin: 4px 0; color: var(--soft); }
video, img { display: block; max-width: 100%; background: #1c1e24; border-radius: 8px; }
video { margin-top: 18px; width: 100%; max-height: 76vh; object-fit: contain; }
.two { display: grid; grid-template-columns: 1fr 1fr; gap: 12px; margin-top: 18px; }
.scroll { overflow-x: auto; background: var(--card); border: 1px solid var(--line); border-radius: 10px; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: 6px 12px; border-top: 1px solid var(--line); vertical-align: top;
  overflow-wrap: anywhere; }
tr:first-child th { border-top: 0; color: var(--soft); font-weight: 600; }
tr.differs td { background: var(--mark); }
.good { color: var(--good); font-weight: 600; } .bad { color: var(--bad); font-weight: 600; }
</style>
</head>
<body><main>
<h1>{{ shot }} · {{ stage }}</h1>
{% for v in versions %}
<p><b>{{ v.version }}</b> {{ v.status }}, published {{ v.published }}, backend {{ v.backend }}
{%- if v.seconds is not none %}, made in {{ "%.1f"|format(v.seconds) }} s{% endif %}</p>
{% endfor %}
{% if pictures %}
<video src="{{ pictures.wipe }}" controls loop muted autoplay playsinline></video>
<p>{{ versions[0].version }} left of the split, {{ versions[1].version }} right of it; frames {{ pictures.first }} to
{{ pictures.last }}{% if pictures.resized %}, the second brought to the first one's size{% endif %}.
{% if pictures.equal == pictures.frames %}All {{ pictures.frames }} frames have the same pixels.
{%- else %}{{ pictures.frames - pictures.equal }} of {{ pictures.frames }} frames differ, on average by
{{ "%.2f"|format(pictures.mean) }} of 255, most at frame {{ pictures.worst }}
({{ "%.2f"|format(pictures.worst_mean) }}).
{%- endif %}</p>
{% elif previews %}
<div class="two">{% for p in previews %}<div><p><b>{{ p.version }}</b></p>
{% if p.file %}<img src="{{ p.file }}" alt="{{ p.version }}">{% else %}<p>no picture</p>{% endif %}</div>
{% endfor %}</div>
{% endif %}
<h2>Figures</h2>
<div class="scroll"><table><tr><th>figure</th><th>{{ versions[0].version }}</th><th>{{ versions[1].version }}</th>
<th>change</th></tr>
{% for row in figures %}
<tr{% if not row.same %} class="differs"{% endif %}><td>{{ row.name }}</td><td>{{ row.before|shown }}</td>
<td>{{ row.after|shown }}</td><td>{{ row.change|signed if not row.same else "" }}</td></tr>
{% endfor %}
</table></div>
{% if verdicts %}
<h2>Verdicts</h2>
<div class="scroll"><table><tr><th>gate</th><th>{{ versions[0].version }}</th><th>{{ versions[1].version }}</th></tr>
{% for row in verdicts %}
<tr{% if row.before != row.after %} class="differs"{% endif %}><td>{{ row.name }}</td>
{% for said in (row.before, row.after) %}<td>{% if said %}<span class="{{ 'good' if said.passed else 'bad' }}">
{{- "passed" if said.passed else "failed" }}</span> {{ said.message }}{% else %}not judged{% endif %}</td>
{% endfor %}</tr>
{% endfor %}
</table></div>
{% endif %}
<h2>What went in differently</h2>
{% if ingredients %}
<div class="scroll"><table><tr><th>stage</th><th>ingredient</th><th>{{ versions[0].version }}</th>
<th>{{ versions[1].version }}</th></tr>
{% for row in ingredients + upstream %}
<tr><td>{{ row.stage }}</td><td>{{ row.ingredient }}</td><td>{{ row.before|shown }}</td>
<td>{{ row.after|shown }}</td></tr>
{% endfor %}
{% for unit in code %}
<tr><td>{{ stage }}</td><td colspan="3">code of {{ unit }}</td></tr>
{% endfor %}
</table></div>
{% else %}
<p>Nothing: the same ingredients gave both.</p>
{% endif %}
<h2>Files</h2>
<p>{{ files.same }} the same, {{ files.changed|length }} changed, {{ files.added|length }} added,
{{ files.removed|length }} gone.</p>
</main></body>
</html>
"""


def compare_page(found: Mapping[str, Any]) -> str:
    """The page of `comparison.tables` with ``pictures`` or ``previews``."""
    import jinja2

    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    environment.filters.update(shown=shown, signed=signed)
    return environment.from_string(_PAGE).render(found)


def shown(value: Any) -> str:
    """A figure or an ingredient as people read it; digests are cut short."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.5g}"
    text = str(value)
    is_digest = len(text) == 64 and all(c in "0123456789abcdef" for c in text)
    return text[:12] if is_digest else text if len(text) <= 300 else text[:297] + "..."


def signed(value: Any) -> str:
    """A change with its sign; empty when there is none to tell."""
    return "" if value is None else f"{value:+.4g}"
