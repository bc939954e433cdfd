"""Where artifacts live: keyed by what went into them, committed once, verified, published as v001, v002 ...

How a step uses it::

    store = open_store(home / "store")

    ingredients = make_ingredients(
        stage="rig", version=1, code=code_digest("studio_pipeline.stages.rig.geometric:run"), backend="geometric",
        distributions=distribution_versions(["numpy", "scipy"]), settings=settings.model_dump(mode="json"),
        shot={"seed": 3}, inputs={"character": character.content_hash},
    )
    key = key_of(ingredients)

    artifact = store.find(key)                       # plan: sizes and etags only
    artifact = store.find(key, thorough=True)        # run: every byte hashed where etags prove nothing; damaged: None
    if artifact is None:
        lease = store.leases.acquire(key, who=run_id)
        if isinstance(lease, Busy):                  # somebody else makes it: come back later
            raise Retry(lease.seconds_left)
        with lease:
            folder = store.checkout(character)       # verified, read only, local; raises Corrupt
            result = run(inputs={"character": folder}, out=work)
            fields = {
                "stage": "rig", "ingredients": ingredients, "inputs": [asdict(character.as_input("character"))],
                "figures": result.figures, "verdicts": [asdict(v) for v in result.verdicts],
                "previews": result.previews, "provenance": {"host": host, "device": "cpu", "seconds": 3.1},
            }
            artifact = store.commit(key, work, fields, lease=lease)   # ``.joined``: somebody else's commit had won
    version = store.shots.publish("demo_010_0010", "rig", artifact)   # version.label == "v001"

    store.shots.published("demo_010_0010", "rig")    # latest, or None
    old = store.get(version.key, version.generation)
    for change in diff_ingredients(old.ingredients, ingredients):     # why: "settings.joints: 20 -> 24"
        ...
    code_units("studio_pipeline.stages.rig.geometric:run")            # keep it in fields: tells which function changed
    store.shots.record_failure("demo_010_0010", "rig", key, "mesh has no faces")
    store.shots.last_failure("demo_010_0010", "rig", key=key)         # None once a later version is published

    verify_all(store).problems                       # hashes everything
    gc(store, older_than_days=7, dry_run=True)       # what could go

Everything that fails raises `StorageError` or `Corrupt`, one line each.
"""

from __future__ import annotations

from pathlib import Path

from studio_pipeline.schema.errors import StorageError
from studio_pipeline.store.artifacts import LeaseLost, Problem, Store
from studio_pipeline.store.cache import DEFAULT_BYTES, PayloadCache
from studio_pipeline.store.codehash import code_digest, code_units
from studio_pipeline.store.disk import DiskPrimitive
from studio_pipeline.store.keys import (
    Change,
    canonical_json,
    content_hash,
    diff_ingredients,
    digest_file,
    digest_folder,
    digest_path,
    distribution_versions,
    key_of,
    make_ingredients,
    plain,
)
from studio_pipeline.store.leases import Busy, Lease, LeaseState, Loss, Work
from studio_pipeline.store.maintenance import GcReport, VerifyReport, gc, verify_all
from studio_pipeline.store.manifest import Artifact, Corrupt, FileEntry, InputRef
from studio_pipeline.store.primitive import probe, refusal
from studio_pipeline.store.published import Failure, Published, ShotRecord
from studio_pipeline.store.records import RecordCache

__all__ = [
    "Artifact",
    "Busy",
    "Change",
    "Corrupt",
    "Failure",
    "FileEntry",
    "GcReport",
    "InputRef",
    "Lease",
    "LeaseLost",
    "LeaseState",
    "Loss",
    "PayloadCache",
    "Problem",
    "Published",
    "ShotRecord",
    "Store",
    "VerifyReport",
    "Work",
    "canonical_json",
    "code_digest",
    "code_units",
    "content_hash",
    "diff_ingredients",
    "digest_file",
    "digest_folder",
    "digest_path",
    "distribution_versions",
    "gc",
    "key_of",
    "make_ingredients",
    "open_store",
    "plain",
    "verify_all",
]


def open_store(
    place: str | Path, *, reading: bool = False, cache: Path | None = None, cache_bytes: int = DEFAULT_BYTES
) -> Store:
    """The store at a place, made when it isn't there; one that ignores conditional writes is refused.

    Args:
        place: A folder, or ``s3://bucket/prefix`` (endpoint and credentials from the environment, ``AWS_*``).
        reading: Whoever only looks writes nothing, not even the probe.
        cache: Folder of the read cache; needed for payloads that aren't local, not used on a disk.
        cache_bytes: How large it may get.

    Raises:
        StorageError: It cannot be written, or it doesn't keep the promises of `primitive.Primitive`.
    """
    text = str(place)
    if text.startswith("s3:"):
        return _open_s3(text, reading=reading, cache=cache, cache_bytes=cache_bytes)
    if "://" in text and not text.startswith("file://"):
        # What was given isn't repeated: people paste keys into URLs.
        raise StorageError("a store is a folder or a place on S3", do="give a path, or s3://bucket/prefix")
    primitive = DiskPrimitive(Path(text.removeprefix("file://")))
    if not reading:
        probe(primitive)
    return Store(primitive)


def _open_s3(url: str, *, reading: bool, cache: Path | None, cache_bytes: int) -> Store:
    from studio_pipeline.store.s3 import S3Primitive

    primitive = S3Primitive(url)
    if not reading:
        probe(primitive)
        if problem := primitive.broken_promise():
            raise refusal(problem, primitive.url)
    if cache is None:
        return Store(primitive)
    payloads = PayloadCache(cache, limit=cache_bytes)
    records = RecordCache(cache / "records.sqlite", store=primitive.url, limit=max(cache_bytes // 10, 1 << 20))
    return Store(primitive, cache=payloads, records=records)
