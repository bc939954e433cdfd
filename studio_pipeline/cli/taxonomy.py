"""`studio taxonomy`: the production vocabulary, listed, searched, explained, checked and written as a page."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from studio_pipeline.schema.taxonomy import Taxonomy

__all__ = ["taxonomy_app"]

taxonomy_app = typer.Typer(
    name="taxonomy", no_args_is_help=True, help="The production vocabulary: list, search, explain, validate, docs."
)

Own = Annotated[list[Path] | None, typer.Option("--own", help="A studio's own file as well; may be repeated.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")]


@taxonomy_app.command("list")
def list_tags(
    what: Annotated[str | None, typer.Argument(help="An axis (Camera) or a field (camera.move).")] = None,
    own: Own = None,
    as_json: AsJson = False,
) -> None:
    """List axes, fields and values."""
    from studio_pipeline.schema.vocabulary import sorted_axes

    taxonomy = _load(own)
    fields = [field for field in taxonomy.fields if what is None or what.casefold() in _names(field)]
    if not fields:
        _refuse(f"no axis or field is called {what!r}", taxonomy.nearest_fields(what or "") or _axes(taxonomy))
    if as_json:
        _print_json({"version": taxonomy.version, "fields": [_field_record(field) for field in fields]})
        return
    if len(fields) == 1:
        field = fields[0]
        _say(f"{field.field}  {field.meaning}{_note(field)}")
        for tag in field.tags:
            _say(f"  {tag.value:<20} {tag.meaning}  [{', '.join(tag.synonyms[:4])}]")
        return
    for axis in sorted_axes(taxonomy):
        inside = [field for field in fields if field.axis == axis]
        if not inside:
            continue
        _say(f"{axis}  ({sum(len(field.tags) for field in inside)} tags)")
        for field in inside:
            _say(f"  {field.field:<24} {', '.join(field.values)}{_note(field)}")
    _say(f"taxonomy {taxonomy.version}: {len(fields)} fields, {sum(len(field.tags) for field in fields)} tags")


@taxonomy_app.command()
def search(
    words: Annotated[list[str], typer.Argument(help="Words, English or Japanese.")],
    own: Own = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=100, help="At most so many tags.")] = 10,
    as_json: AsJson = False,
) -> None:
    """Find the tags that words mean, or the nearest ones."""
    from studio_pipeline.schema.vocabulary import find_tags, tag_record

    taxonomy = _load(own)
    hits = find_tags(" ".join(words), taxonomy)[:limit]
    if as_json:
        found = [{**tag_record(hit.field, hit.tag), "score": round(hit.score, 3), "why": hit.why} for hit in hits]
        _print_json({"version": taxonomy.version, "words": " ".join(words), "tags": found})
    elif not hits:
        _say(f"nothing is near {' '.join(words)!r}; `studio taxonomy list` lists all")
    else:
        for hit in hits:
            _say(f"{hit.field.field}={hit.tag.value}  {hit.tag.meaning}  ({hit.why})")
    raise typer.Exit(0 if hits else 1)


@taxonomy_app.command()
def explain(
    name: Annotated[str, typer.Argument(help="A field or a tag: camera.move or camera.move=pan_left.")],
    own: Own = None,
    as_json: AsJson = False,
) -> None:
    """Say what a field or a tag means, looks like, is called, is read by and contradicts."""
    from studio_pipeline.schema.vocabulary import tag_record

    taxonomy = _load(own)
    name, told = _present(name.strip(), taxonomy)
    field_name, _, value = name.partition("=")
    field = taxonomy.field(field_name)
    if field is None:
        _refuse(f"no field is called {field_name!r}", taxonomy.nearest_fields(field_name) or _axes(taxonomy))
    elif value and value not in field.values:
        _refuse(f"{field.field} has no value {value!r}", field.nearest(value) or list(field.values))
    elif as_json:
        record = tag_record(field, field.tag(value)) if value else _field_record(field)
        _print_json({"version": taxonomy.version, **record, "renamed": told})
    else:
        for line in told:
            _say(line)
        _explain_tag(tag_record(field, field.tag(value))) if value else _explain_field(field)


@taxonomy_app.command()
def validate(
    files: Annotated[list[Path] | None, typer.Argument(help="A studio's own files; none: the shipped ones.")] = None,
    as_json: AsJson = False,
) -> None:
    """Check a studio's own file against the shipped taxonomy: one line a problem, exit code 2 when there is one."""
    from studio_pipeline.schema.taxonomy import load_taxonomy, taxonomy_problems

    own = files or []
    problems = taxonomy_problems(own=own)
    if as_json:
        _print_json({"files": [str(file) for file in own], "problems": problems})
    elif problems:
        for line in problems:
            sys.stderr.write(f"studio: {line}\n")
    else:
        taxonomy = load_taxonomy(own=own)
        count = sum(len(field.tags) for field in taxonomy.fields)
        _say(f"taxonomy {taxonomy.version}: {len(taxonomy.fields)} fields, {count} tags, no problems")
    raise typer.Exit(2 if problems else 0)


@taxonomy_app.command()
def docs(
    out: Annotated[Path | None, typer.Option("--out", help="The page (Markdown); standard output when absent.")] = None,
    own: Own = None,
    as_json: AsJson = False,
) -> None:
    """Write the vocabulary as a page."""
    from studio_pipeline.schema.errors import StorageError
    from studio_pipeline.schema.vocabulary import page

    taxonomy = _load(own)
    text = page(taxonomy)
    if out is not None:
        try:
            out.parent.mkdir(parents=True, exist_ok=True)
            out.write_text(text, encoding="utf-8")
        except OSError as error:
            raise StorageError(f"can't be written ({error.strerror})", where=out) from None
    tags = sum(len(field.tags) for field in taxonomy.fields)
    if as_json:
        _print_json({"version": taxonomy.version, "out": str(out) if out else None, "tags": tags, "page": text})
    else:
        _say(text.rstrip("\n") if out is None else f"{out}: {tags} tags of taxonomy {taxonomy.version}")


def _load(own: Sequence[Path] | None) -> Taxonomy:
    from studio_pipeline.schema.taxonomy import load_taxonomy

    return load_taxonomy(own=own or ())


def _names(field: Any) -> set[str]:
    return {field.axis.casefold(), field.field, field.field.partition(".")[0], field.field.partition(".")[2]}


def _axes(taxonomy: Taxonomy) -> list[str]:
    from studio_pipeline.schema.vocabulary import sorted_axes

    return sorted_axes(taxonomy)


def _present(name: str, taxonomy: Taxonomy) -> tuple[str, list[str]]:
    """The name as it is now, and what to say when it was another."""
    field, _, value = name.partition("=")
    moved, told = taxonomy.migrate({field: value})
    now, text = next(iter(moved.items()))
    return (f"{now}={text}" if text else now), told


def _refuse(what: str, near: Sequence[str]) -> None:
    from studio_pipeline.schema.errors import InputError

    raise InputError(what, do=f"nearest: {', '.join(near)}")


def _field_record(field: Any) -> dict[str, Any]:
    from studio_pipeline.schema.vocabulary import tag_record

    head = field.model_dump(exclude={"tags"})
    return {**head, "tags": [tag_record(field, tag) for tag in field.tags]}


def _note(field: Any) -> str:
    notes = [f"default {field.default}"] if field.default else []
    notes += ["several at once"] if field.many else []
    return f"  ({', '.join(notes)})" if notes else ""


def _explain_field(field: Any) -> None:
    _say(f"{field.field}: {field.meaning}{_note(field)}")
    _say(f"  axis {field.axis}, group {field.group}")
    for tag in field.tags:
        _say(f"  {tag.value:<20} {tag.meaning}. {tag.appearance}")


def _explain_tag(record: dict[str, Any]) -> None:
    _say(f"{record['tag']}: {record['meaning']}")
    _say(f"  looks like    {record['appearance']}")
    _say(f"  words         {', '.join(record['synonyms']) or 'none'}")
    _say(f"  read by       {record['measured_by'] or 'nothing yet'}")
    _say(f"  contradicts   {', '.join(record['contradicts']) or 'nothing'}")
    _say(f"  axis {record['axis']}, group {record['group']}" + (", the default" if record["is_default"] else ""))


def _say(text: str) -> None:
    typer.echo(text)


def _print_json(value: Any) -> None:
    typer.echo(json.dumps(value, indent=1, ensure_ascii=False, sort_keys=True))
