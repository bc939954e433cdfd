"""Six tiny stages for a farm that is being broken: they take a while and fail in several ways; bytes are exact."""

from __future__ import annotations

import json
import os
import signal
import time
from functools import partial
from pathlib import Path

from studio_pipeline.schema.errors import InputError
from studio_pipeline.stages.base import Backend, Settings, Stage, StageContext, StageResult, Verdict


class Work(Settings):
    """What a toy stage does."""

    seconds: float = 0.2
    kilobytes: int = 4
    salt: int = 0
    needs: str = ""  # a file on the worker's machine; the stage crashes while it isn't there
    fail: str = (
        ""  # "input": refuses its input; "crash": a bug; "kill": takes its worker with it, always; "quote": tells all
    )
    gate: bool = True
    picture: bool = False


def _run(name: str, context: StageContext) -> StageResult:
    settings: Work = context.settings
    _note("begin", name)
    total = sum(json.loads((folder / "value.json").read_text())["value"] for folder in context.inputs.values())
    value = total * 31 + settings.salt + len(name)
    if name == "directives":
        value += len(context.shot.brief)
    (context.out / "value.json").write_text(json.dumps({"value": value}))
    (context.out / "data.bin").write_bytes(bytes((value + i) % 251 for i in range(settings.kilobytes * 1024)))
    ends = time.monotonic() + settings.seconds
    while (left := ends - time.monotonic()) > 0:
        context.progress(1 - left / settings.seconds, "toying")
        time.sleep(min(left, 0.1))
    if settings.fail == "input":
        raise InputError(f"the {name} is refused on purpose")
    if settings.needs and not Path(settings.needs).exists():
        raise RuntimeError("the licence server doesn't answer")
    if settings.fail == "crash":
        raise ValueError(f"a bug of {name} on purpose")
    if settings.fail == "quote":
        raise RuntimeError("could not connect: " + "; ".join(_secrets()))
    if settings.fail == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    _note("end", name)
    previews = ("preview.png",) if settings.picture else ()
    if settings.picture:
        (context.out / "preview.png").write_bytes(_picture(value))
    return StageResult(
        previews=previews,
        figures={"value": value},
        verdicts=(Verdict("sane", settings.gate, f"value {value}"), Verdict("nice", False, "never", blocking=False)),
    )


def _secrets() -> list[str]:
    """What a library's error may quote: the farm's addresses and passwords."""
    names = ("STUDIO_BROKER_URL", "STUDIO_PG_PASSWORD", "AWS_SECRET_ACCESS_KEY", "STUDIO_RESULTS_URL")
    return [os.environ[name] for name in names if name in os.environ]


def _picture(value: int) -> bytes:
    """A PNG of one colour, told by the value."""
    import io

    from PIL import Image

    kept = io.BytesIO()
    Image.new("RGB", (96, 64), (value % 200, 40, 200 - value % 200)).save(kept, "PNG")
    return kept.getvalue()


def _note(what: str, name: str) -> None:
    """A line in a journal that outlives every process: how often the stages really ran."""
    if path := os.environ.get("TOYFARM_JOURNAL"):
        with Path(path).open("a") as file:
            file.write(f"{what} {name} {os.getpid()} {time.time():.3f}\n")


def _stage(name: str, inputs: tuple[str, ...], fields: tuple[str, ...] = (), *, gpu: bool = False) -> Stage:
    globals()[f"run_{name}"] = partial(_run, name)
    backend = Backend(run=f"{__name__}:run_{name}", settings=Work, uses_gpu=gpu)
    return Stage(name, 1, name, inputs, fields, {"toy": backend}, "toy", ("sane", "nice"))


STAGES = [
    _stage("character", (), ("character",)),
    _stage("rig", ("character",)),
    _stage("directives", ("character",), ("brief",)),
    _stage("takes", ("rig", "directives"), gpu=True),
    _stage("reference_clip", ("takes",)),
    _stage("delivery", ("reference_clip", "rig")),
]
