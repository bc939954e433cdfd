"""Leaving a shot's delivery and its report in a folder of the user's."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from studio_pipeline.line.plan import ShotPlan
from studio_pipeline.line.reading import checkout
from studio_pipeline.schema.errors import StorageError
from studio_pipeline.store import Artifact, Store

__all__ = ["check_writable", "deliver"]

REPORT = "report.json"
DELIVERED_STAGES = ("delivery", "review")


def check_writable(folder: Path) -> None:
    """Make sure that deliveries can be left in ``folder`` before any work starts.

    Raises:
        StorageError: It can't be made or written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise StorageError(
            f"the output folder {folder} can't be written ({error.strerror})", do="choose another with --out"
        ) from error


def deliver(store: Store, plan: ShotPlan, rows: Sequence[Mapping[str, Any]], folder: Path) -> None:
    """Copy what the shot delivers into ``folder`` and write its ``report.json``.

    Files are replaced one by one, whole or not at all. Files of an earlier delivery that this one lacks are
    removed; files that the pipeline didn't put there are left alone.

    Raises:
        StorageError: The folder can't be written, or the disk is full.
        Corrupt: An artifact is damaged; it was taken out of use, so the next plan makes it again.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        before = _earlier_files(folder)
        delivered: list[str] = []
        for item in plan.stages:
            if item.stage in DELIVERED_STAGES and item.state == "cached" and item.artifact is not None:
                with store.using():
                    delivered += _copy_payload(checkout(store, item.artifact), _names(item.artifact), folder)
        # A shot that failed keeps what an earlier run delivered until a new delivery replaces it.
        if delivered:
            for name in before - set(delivered):
                (folder / name).unlink(missing_ok=True)
        else:
            delivered = sorted(before)
        report = {"shot": plan.shot.id, "source": plan.shot.source, "stages": list(rows), "files": sorted(delivered)}
        _write(folder / REPORT, (json.dumps(report, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode())
    except OSError as error:
        raise StorageError(
            f"the delivery in {folder} can't be written ({error.strerror})", do="free space, then run again"
        ) from error


def _names(artifact: Artifact) -> list[str]:
    return [file.name for file in artifact.files if file.name != "stage.json"]


def _earlier_files(folder: Path) -> set[str]:
    try:
        names = json.loads((folder / REPORT).read_text(encoding="utf-8"))["files"]
        return {name for name in names if not Path(name).is_absolute() and ".." not in Path(name).parts}
    except (OSError, ValueError, KeyError, TypeError):
        return set()


def _copy_payload(source: Path, names: Sequence[str], folder: Path) -> list[str]:
    for name in names:
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if not _same(source / name, target):
            descriptor, temporary = tempfile.mkstemp(dir=target.parent, prefix=".studio-")
            os.close(descriptor)
            try:
                shutil.copyfile(source / name, temporary)
                Path(temporary).chmod(0o644)
                Path(temporary).replace(target)
            finally:
                Path(temporary).unlink(missing_ok=True)
    return list(names)


def _same(source: Path, target: Path) -> bool:
    if not target.is_file() or target.stat().st_size != source.stat().st_size:
        return False
    return source.read_bytes() == target.read_bytes()


def _write(path: Path, data: bytes) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_bytes(data)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
