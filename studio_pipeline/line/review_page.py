"""The review page with what people say: the committed page stays as it is, status and notes are put above a copy.

An artifact's payload never changes, so a page inside one can't know what was said of it later. This one is written
anew whenever somebody asks for it, by `studio review` or by the UI that `studio ui` serves.
"""

from __future__ import annotations

import html
from pathlib import Path

from studio_pipeline.line.reviews import REVIEWED_STAGE
from studio_pipeline.line.timestamps import timestamp
from studio_pipeline.schema.errors import InputError
from studio_pipeline.store import Published, Store
from studio_pipeline.store.reviews import ReviewBook, Standing

__all__ = ["review_page"]

_PAGE_STAGE, _PAGE_NAME = "review", "review.html"
_COLOURS = {"approved": "#15803d", "changes": "#b91c1c", "pending": "#8a6d1d", "unreadable": "#6b21a8"}
_STYLE = (
    "max-width:1240px;margin:0 auto;padding:24px 24px 0;font:15px/1.55 system-ui,-apple-system,'Segoe UI',Roboto,"
    "'Helvetica Neue',Arial,sans-serif"
)
_PILL = "display:inline-block;border-radius:999px;padding:2px 12px;color:#fff;font-weight:600;font-size:13px"


def review_page(store: Store, shot_id: str) -> str:
    """The shot's latest review page as HTML, with the latest delivery's status and every version's notes on top.

    Raises:
        InputError: The shot has no review page yet.
        Corrupt: The page's bytes have changed since it was made.
    """
    published = store.shots.published(shot_id, _PAGE_STAGE)
    if published is None:
        raise InputError("has no review page yet", where=shot_id, do="studio run makes one")
    with store.using():
        page = (_payload(store, published) / _PAGE_NAME).read_text(encoding="utf-8")
    versions = store.shots.history(shot_id, REVIEWED_STAGE)
    said = ReviewBook(store.primitive).of_shot(shot_id)
    head, body, rest = page.partition("<body>")
    block = _block(versions, said)
    return f"{head}{body}\n{block}\n{rest}" if body else f"{block}\n{page}"


def _payload(store: Store, published: Published) -> Path:
    return store.checkout(store.get(published.key, published.generation))


def _block(versions: list[Published], said: dict[tuple[str, int], Standing]) -> str:
    """Status of the newest version, then the notes of all, newest first."""
    if not versions:
        return ""
    latest = versions[-1]
    standing = said.get((REVIEWED_STAGE, latest.version), Standing())
    rows = [f'<p style="margin:0 0 8px">{_pill(latest.label, standing.status, standing.by)}</p>']
    for version in reversed(versions):
        notes = said.get((REVIEWED_STAGE, version.version), Standing()).notes
        rows += [_row(version.label, note.status, note.by, timestamp(note.time), note.text) for note in reversed(notes)]
    return f'<section id="said" style="{_STYLE}">{"".join(rows)}</section>'


def _pill(label: str, status: str, by: str) -> str:
    who = f" by {html.escape(by)}" if by else ""
    colour = _COLOURS.get(status, "#6b21a8")
    return f'<span style="{_PILL};background:{colour}">{REVIEWED_STAGE} {label}: {html.escape(status)}</span>{who}'


def _row(label: str, status: str, by: str, time: str, text: str) -> str:
    what = ", ".join(part for part in (label, html.escape(status), html.escape(by), time) if part)
    said = html.escape(text).replace("\n", "<br>")
    return f'<p style="margin:0 0 6px"><span style="opacity:.65">{what}</span><br>{said}</p>'
