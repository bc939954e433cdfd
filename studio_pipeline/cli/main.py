"""Commands of `studio`. Every heavy import happens inside the command that needs it."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from studio_pipeline import __version__
from studio_pipeline.cli.accept import accept
from studio_pipeline.cli.cancel import cancel
from studio_pipeline.cli.caption import caption
from studio_pipeline.cli.compare import compare
from studio_pipeline.cli.deliver import deliver, deliveries, provenance
from studio_pipeline.cli.evaluate import evaluate_app
from studio_pipeline.cli.evaluate_caption import evaluate_caption
from studio_pipeline.cli.evaluate_judge import evaluate_judge
from studio_pipeline.cli.evaluate_refine import evaluate_refine
from studio_pipeline.cli.evaluate_rig import evaluate_rig
from studio_pipeline.cli.import_otio import import_otio
from studio_pipeline.cli.override import override, unpin
from studio_pipeline.cli.retarget import retarget
from studio_pipeline.cli.review import approve, changes, note, pending, review
from studio_pipeline.cli.rig import rig
from studio_pipeline.cli.submit import submit
from studio_pipeline.cli.takes import select, takes
from studio_pipeline.cli.taxonomy import taxonomy_app
from studio_pipeline.cli.train import train_app
from studio_pipeline.cli.train_judge import train_judge
from studio_pipeline.cli.worker import worker
from studio_pipeline.line.threads import fix_threads
from studio_pipeline.schema.errors import StudioError, one_line
from studio_pipeline.schema.secrets import hide_secrets

__all__ = ["app", "main"]

app = typer.Typer(
    name="studio",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="A shot list in, editable and physically plausible animation out.",
    rich_markup_mode="rich",
)
evaluate_app.command("rig")(evaluate_rig)
evaluate_app.command("refine")(evaluate_refine)
evaluate_app.command("caption")(evaluate_caption)
evaluate_app.command("judge")(evaluate_judge)
train_app.command("judge")(train_judge)
app.add_typer(evaluate_app)
app.add_typer(train_app)
app.add_typer(taxonomy_app)
for _command in (rig, override, unpin):
    app.command()(_command)
app.command()(retarget)
app.command()(caption)
for _command in (
    takes,
    select,
    note,
    approve,
    changes,
    pending,
    review,
    deliver,
    deliveries,
    provenance,
    accept,
    compare,
):
    app.command()(_command)
app.command("import-otio")(import_otio)
for _command in (submit, cancel, worker):
    app.command()(_command)

ShotFiles = Annotated[list[Path], typer.Argument(help="Shot lists (YAML).", show_default=False)]
OnlyShots = Annotated[list[str] | None, typer.Option("--shot", help="Only this shot id; may be repeated.")]
UntilStage = Annotated[list[str] | None, typer.Option("--stage", help="Only up to this stage; may be repeated.")]
FromStage = Annotated[str | None, typer.Option("--from-stage", help="Only this stage and what hangs on it.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")]


def _say(text: str = "") -> None:
    typer.echo(text)


def _print_json(value: Any) -> None:
    typer.echo(json.dumps(value, indent=1, ensure_ascii=False, sort_keys=True))


@app.command()
def check(shots: ShotFiles, only: OnlyShots = None, as_json: AsJson = False) -> None:
    """Validate shot lists: nothing is made, nothing is kept."""
    from studio_pipeline.cli.tables import print_warnings
    from studio_pipeline.line.shots import read_shot_lists

    found = read_shot_lists(shots, only=only)
    print_warnings(found)
    if as_json:
        _print_json({"shots": [shot.id for shot in found]})
    else:
        _say(f"{len(found)} shot{'s' if len(found) != 1 else ''} valid: {', '.join(shot.id for shot in found)}")


@app.command()
def plan(
    shots: ShotFiles,
    only: OnlyShots = None,
    stage: UntilStage = None,
    from_stage: FromStage = None,
    as_json: AsJson = False,
) -> None:
    """Say what would run and why; launch nothing."""
    from studio_pipeline.cli.tables import plan_as_json, print_plan, print_warnings
    from studio_pipeline.line.plan import plan_shot, selection
    from studio_pipeline.line.shots import open_studio, read_shot_lists

    store = open_studio(reading=True)
    chosen = selection(stage, from_stage)
    found = read_shot_lists(shots, only=only)
    print_warnings(found)
    seen = store.snapshot([shot.id for shot in found])
    plans = [plan_shot(seen, shot, only=chosen).told() for shot in found]
    if as_json:
        _print_json(plan_as_json(plans))
    else:
        print_plan(plans)


@app.command()
def run(
    shots: ShotFiles,
    out: Annotated[Path, typer.Option("--out", help="Where deliveries go, one folder a shot.")] = Path("out"),
    only: OnlyShots = None,
    stage: UntilStage = None,
    from_stage: FromStage = None,
    as_json: AsJson = False,
) -> None:
    """Make what is missing or outdated, then leave each shot's delivery in its folder."""
    from studio_pipeline.cli.run import run_lists

    raise typer.Exit(run_lists(shots, out=out, only=only, until=stage, from_stage=from_stage, as_json=as_json))


@app.command()
def retry(
    only: OnlyShots = None,
    out: Annotated[Path, typer.Option("--out", help="Where deliveries go, one folder a shot.")] = Path("out"),
    full_size: Annotated[
        bool, typer.Option("--full-size", help="Also what was made smaller when memory ran out, as it was asked for.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Run again what failed, and what hangs on it, of the shots this home knows."""
    from studio_pipeline.cli.run import retry_failed

    raise typer.Exit(retry_failed(out=out, only=only, full_size=full_size, as_json=as_json))


@app.command()
def why(
    shot: Annotated[str, typer.Argument(help="Shot id.")],
    stage: Annotated[str, typer.Argument(help="Stage.")],
    as_json: AsJson = False,
) -> None:
    """Name the ingredient that changed: since the last version, or between the last two."""
    from studio_pipeline.line.shots import current_shot, open_studio
    from studio_pipeline.line.why import explain

    store = open_studio(reading=True)
    answer = explain(store, current_shot(store, shot), stage)
    _print_json(answer.as_json()) if as_json else _say(answer.as_text())


@app.command()
def status(
    only: OnlyShots = None,
    watch: Annotated[
        bool, typer.Option("--watch", help="Draw it again every 2 s until Ctrl-C; terminal only.")
    ] = False,
    everything: Annotated[bool, typer.Option("--all", help="List every shot, however many there are.")] = False,
    as_json: AsJson = False,
) -> None:
    """Shots x stages of this home now: made, being made (by whom, how far), queued, waiting or failed."""
    from studio_pipeline.cli.status import show_status

    show_status(only, as_json=as_json, watch=watch, everything=everything)


@app.command()
def history(shot: Annotated[str, typer.Argument(help="Shot id.")], as_json: AsJson = False) -> None:
    """Every published version of a shot's stages with status and figures, and what people did to the shot."""
    from studio_pipeline.cli.tables import print_history
    from studio_pipeline.line.history import history_of
    from studio_pipeline.line.shots import open_studio

    found = history_of(open_studio(reading=True), shot)
    _print_json(found) if as_json else print_history(found)


@app.command()
def verify(
    delivery: Annotated[Path | None, typer.Option("--delivery", help="Check this delivered folder instead.")] = None,
    repair: Annotated[
        bool, typer.Option("--repair", help="Take what is damaged or can't be read out of use; nothing is deleted.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Hash every artifact of this home. What is damaged is made again by the next run."""
    from studio_pipeline.line.shots import open_studio

    if delivery is not None:
        _verify_delivery(delivery, as_json)
    from studio_pipeline.store import maintenance

    store = open_studio(reading=not repair)
    report = maintenance.verify_all(store)
    if repair:
        maintenance.repair(store, report)
    problems = [str(problem) for problem in report.problems]
    if as_json:
        found = {"generations": report.generations, "files": report.files, "bytes": report.size}
        _print_json({**found, "damaged": len(report.damaged), "problems": problems})
    else:
        for line in problems:
            _say(line)
        _say(f"{report.generations} artifacts ({report.size / 1e6:.1f} MB) hashed, {len(report.damaged)} damaged")
    raise typer.Exit(1 if problems else 0)


def _verify_delivery(folder: Path, as_json: bool) -> None:
    from studio_pipeline.line.deliveries import verify_delivery
    from studio_pipeline.line.shots import open_studio

    report = verify_delivery(open_studio(reading=True), folder)
    if as_json:
        _print_json({"files": report.files, "bytes": report.size, "problems": list(report.problems)})
    else:
        for line in report.problems:
            _say(line)
        _say(f"{report.files} files ({report.size / 1e6:.1f} MB) hashed, {len(report.problems)} problems")
    raise typer.Exit(1 if report.problems else 0)


@app.command()
def gc(
    days: Annotated[float, typer.Option("--days", help="Take only what is older.", min=0.0)] = 7.0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be taken.")] = False,
    as_json: AsJson = False,
) -> None:
    """Remove artifacts that nothing refers to; never what is published, pinned or delivered, nor what made that."""
    from studio_pipeline.line.shots import open_studio
    from studio_pipeline.line.timestamps import timestamp
    from studio_pipeline.store.maintenance import gc as collect

    report = collect(open_studio(reading=dry_run), older_than_days=days, dry_run=dry_run)
    removed = [{**vars(item), "modified": timestamp(item.modified)} for item in report.removed]
    if as_json:
        found = {"generations": len(removed), "bytes": report.size, "kept": report.kept, "busy": report.busy}
        _print_json({**found, "dry_run": dry_run, "unfinished": report.unfinished, "removed": removed})
        return
    for row in removed:
        what = f"{row['stage'] or 'unreadable'} {row['key'][:12]} g{row['generation']:04d}"
        _say(f"{what}  {row['size'] / 1e6:.1f} MB  {row['modified']}  {row['shot']}".rstrip())
    verb = "would remove" if dry_run else "removed"
    more = f", {report.unfinished} files of commits that were cut off" if report.unfinished else ""
    busy = f" ({report.busy} of them only while they are being made)" if report.busy else ""
    stay = report.kept + report.busy
    _say(f"{verb} {len(removed)} artifacts{more}, {report.size / 1e6:.1f} MB; {stay} stay{busy}")


@app.command()
def ui(
    port: Annotated[int, typer.Option("--port", help="Port on 127.0.0.1.", min=1, max=65535)] = 3000,
    host: Annotated[
        str, typer.Option("--host", help="Address; anything but loopback has no authentication.")
    ] = "127.0.0.1",
) -> None:
    """Dagster's web UI: the graph, every shot's pictures, figures and checks."""
    from studio_pipeline.line.shots import open_studio

    store = open_studio(reading=True)
    from studio_pipeline.dag.ui import serve

    _say(f"Dagster for {os.environ['STUDIO_HOME']} at http://{host}:{port} (Ctrl-C ends it)")
    serve(host=host, port=port, store=store)


@app.callback(invoke_without_command=True)
def _root(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    if version:
        _say(__version__)
        raise typer.Exit


def main() -> None:
    """Entry point: errors that a user can act on become one line and their exit code."""
    fix_threads()
    try:
        code = app(standalone_mode=False)
    except StudioError as error:
        for line in getattr(error, "lines", None) or [str(error)]:
            sys.stderr.write(f"studio: {line}\n")
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        code = 130
    except typer.Exit as leave:
        code = leave.exit_code
    except OSError as error:
        sys.stderr.write(f"studio: {hide_secrets(one_line(error))}\n")
        sys.exit(4)
    except Exception as error:
        if "click" in type(error).__module__ and hasattr(error, "show"):
            error.show()
            sys.exit(getattr(error, "exit_code", 2))
        raise
    if code == 130:
        sys.stderr.write("studio: interrupted; what was finished is kept, run again to go on\n")
    sys.exit(code if isinstance(code, int) else 0)
