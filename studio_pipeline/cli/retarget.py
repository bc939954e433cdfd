"""`studio retarget`: a BVH motion on a biped character, as a GLB that plays."""

from __future__ import annotations

import json
import sys
import time
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any

import typer

__all__ = ["retarget"]


def retarget(
    motion: Annotated[str, typer.Argument(help="BVH file, or a motion of the asset library: walk, run, wave, jump.")],
    character: Annotated[str, typer.Argument(help="GLB, glTF, OBJ or USD, or a name of the asset library.")],
    out: Annotated[Path, typer.Option("--out", help="The animated file: .glb.")],
    backend: Annotated[
        str | None, typer.Option("--backend", help="Whose rig; the file's own when it has one, else the default.")
    ] = None,
    fps: Annotated[str | None, typer.Option("--fps", help="Frames a second, 24 or 24000/1001; the file's own.")] = None,
    frames: Annotated[int | None, typer.Option("--frames", min=1, max=100_000, help="Length; loops go on.")] = None,
    in_place: Annotated[bool, typer.Option("--in-place", help="Take the way away that the body goes.")] = False,
    keep_heading: Annotated[
        bool, typer.Option("--keep-heading", help="Face where the file faces, not the character's front.")
    ] = False,
    height: Annotated[
        float | None, typer.Option("--height", help="Largest extent in metres, where the file's own unit is none.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")] = False,
) -> None:
    """Put a motion on a character: matched bones, hips by leg length, feet that stay on the ground."""
    from studio_pipeline.geometry.bvh import read_bvh
    from studio_pipeline.geometry.retarget import retarget as retargeted
    from studio_pipeline.stages.delivery.motion_files import write_motion_glb

    began = time.monotonic()
    path, rate = _motion_file(motion), _rate(fps)
    _check_out(out)
    bvh = read_bvh(path)
    body, rig, made_by, warnings = _rigged(character, backend, height)
    result = retargeted(
        rig, body.vertices, bvh, fps=rate, frames=frames, in_place=in_place, keep_heading=keep_heading,
        what=path.name, whom=f"character {body.name}",
    )  # fmt: skip
    write_motion_glb(body, rig, result.motion, out, name=path.stem)
    told = {"motion": str(path), "character": body.source or body.name, "out": str(out), "backend": made_by}
    told |= {"fps": str(result.motion.fps), "figures": result.figures, "parts": list(result.parts)}
    told |= {"warnings": warnings, "seconds": round(time.monotonic() - began, 2)}
    if as_json:
        sys.stdout.write(json.dumps(told, indent=1, ensure_ascii=False, sort_keys=True) + "\n")
    else:
        _tell(told)


def _motion_file(name_or_path: str) -> Path:
    from studio_pipeline.schema.assets import assets_folder
    from studio_pipeline.schema.errors import InputError

    library = {path.stem: path for path in sorted((assets_folder() / "motions").glob("*.bvh"))}
    if name_or_path in library:
        return library[name_or_path]
    path = Path(name_or_path).expanduser()
    try:
        if path.is_file():
            return path
    except (OSError, ValueError):
        pass
    listed = ", ".join(library) or "empty"
    raise InputError(
        f"no motion {name_or_path!r} in the asset library ({listed}) and no such file", do="give a BVH file"
    )


def _rate(text: str | None) -> Fraction | None:
    from studio_pipeline.schema.errors import InputError
    from studio_pipeline.schema.shot import frame_rate

    if text is None:
        return None
    try:
        return frame_rate(text)
    except ValueError:
        shown = repr(text[:40])
        raise InputError(f"is no frame rate: {shown}", where="--fps", do="give 1 to 240, as 24 or 24000/1001") from None


def _check_out(out: Path) -> None:
    from studio_pipeline.schema.errors import InputError
    from studio_pipeline.stages.delivery.rig_files import check_rig_path

    check_rig_path(out)
    if out.suffix.lower() != ".glb":
        raise InputError("is no GLB file", where=out, do="name a file that ends in .glb")


def _rigged(character: str, backend: str | None, height: float | None) -> tuple[Any, Any, str, str]:
    """The character, its rig, the rig's backend and the character's warnings; made in a home of the moment."""
    from studio_pipeline.cli.adhoc import adhoc_shot, made_in, temporary_home
    from studio_pipeline.schema.assets import assets_folder
    from studio_pipeline.schema.records import Character, Rig
    from studio_pipeline.stages.character.library import resolve_character
    from studio_pipeline.stages.character.load import load_character

    if backend is None:
        loaded = load_character(resolve_character(character, assets_folder() / "characters"), height_m=height)
        if loaded.own_rig is not None:
            return loaded.character, loaded.own_rig, "provided", "; ".join(loaded.warnings)
    shot = adhoc_shot("rig", character, {"backend": backend} if backend is not None else {}, height_m=height)
    with temporary_home() as store:
        plan = made_in(store, shot, "rig")
        stages = {item.stage: item for item in plan.stages}
        folders = {name: store.checkout(item.artifact) for name, item in stages.items() if item.artifact}
        body, rig = Character.load(folders["character"]), Rig.load(folders["rig"])
    return body, rig, str(stages["rig"].backend), str(stages["character"].figures.get("warnings", ""))


def _tell(told: dict[str, Any]) -> None:
    from studio_pipeline.cli.tables import console

    screen, figures = console(), told["figures"]
    if told["warnings"]:
        screen.print(f"warning: {told['warnings']}", markup=False, soft_wrap=True)
    if figures["first_frame_dropped"]:
        screen.print("left out a first frame that is a calibration pose", markup=False)
    screen.print(
        f"{figures['frames']} frames at {told['fps']} fps on the {told['backend']} rig, "
        f"{figures['contacts']} footholds, legs {figures['leg_ratio']:.3g} times the motion's",
        markup=False,
        soft_wrap=True,
    )
    screen.print(f"{told['out']}  {told['seconds']:.1f} s", markup=False, soft_wrap=True)
