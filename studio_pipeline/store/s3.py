"""The primitive on an S3 service that honours If-None-Match and If-Match: AWS, SeaweedFS, MinIO, Ceph.

Every object is written by one conditional request: a PUT, or for large files the CompleteMultipartUpload that makes the
parts an object. Each write carries a nonce of its own as metadata. When a condition fails, the nonce of what is there
tells a lost race from an earlier try of the same request whose answer got lost.
"""

from __future__ import annotations

import base64
import hashlib
import io
import re
import uuid
from collections.abc import Iterator
from contextlib import suppress
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, BinaryIO

from studio_pipeline.schema.errors import StorageError
from studio_pipeline.store.primitive import (
    Changed,
    Content,
    Entry,
    Exists,
    Missing,
    Unreadable,
    Written,
    check_name,
)
from studio_pipeline.store.s3client import PATIENCE, Answer, Client, Failing, Refused, check_environment
from studio_pipeline.store.s3listing import listed

__all__ = ["S3Primitive", "parse_url"]

PART_BYTES = 8 << 20  # files above are sent in parts; S3 wants at least 5 MiB a part
MAX_PARTS = 9_000  # S3 allows 10,000; larger files get larger parts
BLOCK_BYTES = 8 << 20  # what one request reads of a stream
MAX_PREFIX_BYTES = 100
NONCE = "studio-nonce"

_bucket = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")


def parse_url(url: str) -> tuple[str, str]:
    """Bucket and prefix of ``s3://bucket/prefix``; the prefix has no slash at its ends.

    Raises:
        StorageError: It is none. What was given isn't repeated: people paste keys into URLs.
    """
    bucket, _, prefix = url.removeprefix("s3://").partition("/")
    prefix = prefix.strip("/")
    wrong = not url.startswith("s3://") or not _bucket.fullmatch(bucket) or len(prefix.encode()) > MAX_PREFIX_BYTES
    if wrong or any(c in prefix for c in "?#@:%"):
        raise StorageError(
            "this is no place on S3", do="write s3://bucket or s3://bucket/prefix; keys go into the environment (AWS_*)"
        )
    return bucket, check_name(prefix) if prefix else ""


class S3Primitive:
    """Objects below a prefix of a bucket.

    Args:
        url: ``s3://bucket/prefix``. Endpoint and credentials come from the environment (``AWS_*``).
        part_bytes: Files above this size are sent in parts of it.
        patience: How long a request is repeated while the service has trouble [s].
    """

    parallel = 8  # requests at a time that pay; each holds a part in memory
    trusted_etags = True  # the service computes them from the bytes that arrive

    def __init__(self, url: str, *, part_bytes: int = PART_BYTES, patience: float = PATIENCE) -> None:
        bucket, prefix = parse_url(url)
        check_environment()
        self.url = f"s3://{bucket}/{prefix}".rstrip("/")
        self.client = Client(bucket, where=self.url, patience=patience)
        self._prefix = prefix + "/" if prefix else ""
        self._part_bytes = part_bytes

    def create(self, name: str, data: bytes | Path) -> Written:
        """See `Primitive.create`."""
        key = self._key(name)
        if not isinstance(data, bytes):
            size = data.stat().st_size
            if size > self._part_bytes:
                return self._create_in_parts(key, data, size)
            data = data.read_bytes()
        return self._put(key, data, Exists(name), IfNoneMatch="*")

    def replace_if(self, name: str, data: bytes, etag: str) -> Written:
        """See `Primitive.replace_if`."""
        return self._put(self._key(name), data, Changed(name), IfMatch=f'"{etag}"')

    def read(self, name: str) -> Content:
        """See `Primitive.read`."""
        answer = self._get(name, self._key(name))
        return Content(answer.body, answer.etag)

    def open(self, name: str) -> BinaryIO:
        """See `Primitive.open`."""
        return io.BufferedReader(_Stream(self, name), 1 << 20)  # type: ignore[return-value]

    def stat(self, name: str) -> Entry | None:
        """See `Primitive.stat`."""
        answer = self._head(self._key(name))
        if answer is None:
            return None
        fields = answer.fields
        return Entry(name, fields["ContentLength"], answer.etag, fields["LastModified"].timestamp())

    def list(self, prefix: str) -> Iterator[Entry]:
        """See `Primitive.list`; any beginning of a name will do as ``prefix``. A page of 1,000 names is one request."""
        more: dict[str, Any] = {}
        while True:
            try:
                fields = self.client.call("list_objects_v2", Prefix=self._prefix + prefix, **more).fields
            except Refused as refused:
                raise self.client.explain(refused) from None
            for key, size, etag, modified in listed(fields):
                if not key.endswith("/"):  # some services show folders
                    yield Entry(key.removeprefix(self._prefix), size, etag, modified)
            if not fields.get("IsTruncated"):
                return
            more = {"ContinuationToken": fields["NextContinuationToken"]}

    def delete(self, name: str) -> None:
        """See `Primitive.delete`."""
        try:
            self.client.call("delete_object", Key=self._key(name))
        except Refused as refused:
            if refused.status != 404:
                raise self.client.explain(refused) from None

    def sweep(self, older_than_s: float) -> int:
        """See `Primitive.sweep`: uploads in parts that were never completed."""
        limit, count = self.now() - older_than_s, 0
        try:
            found = self.client.call("list_multipart_uploads", Prefix=self._prefix).fields.get("Uploads", ())
        except Refused as refused:
            raise self.client.explain(refused) from None
        for upload in found:
            if upload["Initiated"].timestamp() < limit:
                self._abort(upload["Key"], upload["UploadId"])
                count += 1
        return count

    def folder(self, prefix: str) -> Path | None:
        """See `Primitive.folder`: nothing of it is here."""
        return None

    def now(self) -> float:
        """The service's clock, in whole seconds: the Date of an answer."""
        try:
            told = self.client.call("head_bucket").headers.get("date", "")
            return parsedate_to_datetime(told).timestamp()
        except Refused as refused:  # a HEAD has no body to say which 404 it is
            raise self.client.explain(Refused("NoSuchBucket", 404) if refused.status == 404 else refused) from None
        except ValueError:
            raise StorageError("this S3 service doesn't tell the time (no Date header)", where=self.url) from None

    def broken_promise(self) -> str:
        """What a probe of uploads in parts finds wrong; empty when nothing is. `probe` tests the rest."""
        name = f"probe/{uuid.uuid4().hex}"
        key = self._key(name)
        self.create(name, b"first")
        try:
            self._complete(key, *self._upload(key, io.BytesIO(b"second"), 1 << 20, uuid.uuid4().hex), Exists(name))
            return "ignores create-only writes of large files"
        except Exists:
            return ""
        finally:
            self.delete(name)

    def _key(self, name: str) -> str:
        return self._prefix + check_name(name)

    def _get(self, name: str, key: str, **how: Any) -> Answer:
        try:
            return self.client.call("get_object", Key=key, **how)
        except Failing:
            raise Unreadable(
                "the S3 store can't read this object (HTTP 500)",
                where=f"{self.url}/{name}",
                do="try again later; if it stays so, studio verify --repair lets it be made again",
            ) from None
        except Refused as refused:
            if refused.code == "NoSuchKey" or (refused.status == 404 and refused.code != "NoSuchBucket"):
                raise Missing(name) from None
            if refused.status in (412, 416):
                raise
            raise self.client.explain(refused) from None

    def _head(self, key: str) -> Answer | None:
        try:
            return self.client.call("head_object", Key=key)
        except Refused as refused:
            if refused.status == 404:
                return None
            raise self.client.explain(refused) from None

    def _put(self, key: str, data: bytes, lost: Exception, **condition: str) -> Written:
        nonce = uuid.uuid4().hex
        try:
            answer = self.client.call(
                "put_object", Key=key, Body=data, ContentMD5=_md5(data), Metadata={NONCE: nonce}, **condition
            )
        except Refused as refused:
            # No such object: nothing to replace. Some services say so where a condition fails.
            absent = refused.status == 404 and refused.code != "NoSuchBucket" and "IfMatch" in condition
            if refused.status != 412 and not absent:
                raise self.client.explain(refused) from None
            if (there := self._mine(key, nonce)) is None:
                raise lost from None
            answer = there
        return Written(len(data), hashlib.sha256(data).hexdigest(), answer.etag)

    def _mine(self, key: str, nonce: str) -> Answer | None:
        """What is there, if it is what the write with this nonce left: an earlier try had been carried out."""
        there = self._head(key)
        return there if there is not None and there.fields.get("Metadata", {}).get(NONCE) == nonce else None

    def _create_in_parts(self, key: str, path: Path, size: int) -> Written:
        lost = Exists(key.removeprefix(self._prefix))
        if self._head(key) is not None:  # spares sending a large file for nothing; the last request decides
            raise lost
        part_bytes = max(self._part_bytes, -(-size // MAX_PARTS))
        for _ in range(3):
            nonce, digest = uuid.uuid4().hex, hashlib.sha256()
            with path.open("rb") as source:
                upload, parts = self._upload(key, source, part_bytes, nonce, digest)
            if (etag := self._complete(key, upload, parts, lost, nonce)) is not None:
                return Written(size, digest.hexdigest(), etag)
        raise StorageError("a large file's upload keeps getting lost", where=self.url, do="run again")

    def _upload(
        self, key: str, source: BinaryIO, part_bytes: int, nonce: str, digest: Any = None
    ) -> tuple[str, list[dict[str, Any]]]:
        """Send the parts of a file; gives the upload's id and what completes it."""
        upload = ""
        try:
            upload = self.client.call("create_multipart_upload", Key=key, Metadata={NONCE: nonce}).fields["UploadId"]
            parts = []
            while data := source.read(part_bytes):
                if digest is not None:
                    digest.update(data)
                number = len(parts) + 1
                sent = self.client.call(
                    "upload_part", Key=key, UploadId=upload, PartNumber=number, Body=data, ContentMD5=_md5(data)
                )
                parts.append({"PartNumber": number, "ETag": sent.fields["ETag"]})
            return upload, parts
        except BaseException as error:
            if upload:
                self._abort(key, upload)
            if isinstance(error, Refused):
                raise self.client.explain(error) from None
            raise

    def _complete(
        self, key: str, upload: str, parts: list[dict[str, Any]], lost: Exists, nonce: str = ""
    ) -> str | None:
        """Make the parts the object; its etag, or None when the upload is gone and has to be sent again."""
        done = False
        try:
            answer = self.client.call(
                "complete_multipart_upload",
                Key=key,
                UploadId=upload,
                MultipartUpload={"Parts": parts},
                IfNoneMatch="*",
            )
            done = True
            return answer.etag
        except Refused as refused:
            gone = refused.status == 404 and refused.code != "NoSuchBucket"
            if refused.status != 412 and not gone:
                raise self.client.explain(refused) from None
            if (there := self._mine(key, nonce)) is not None:
                done = True
                return there.etag
            if gone and self._head(key) is None:
                return None
            raise lost from None
        finally:
            if not done:
                self._abort(key, upload)

    def _abort(self, key: str, upload: str) -> None:
        # What stays behind costs space until `sweep` finds it.
        with suppress(Refused, StorageError):
            self.client.call("abort_multipart_upload", Key=key, UploadId=upload)


class _Stream(io.RawIOBase):
    """The bytes of one object, read in blocks; every block is of the same object as the first."""

    def __init__(self, primitive: S3Primitive, name: str) -> None:
        super().__init__()
        self._primitive, self._name, self._key = primitive, name, primitive._key(name)
        self._block, self._at, self._next, self._size, self._etag = b"", 0, 0, 0, ""
        self._fetch()

    def readable(self) -> bool:
        """Always."""
        return True

    def readinto(self, buffer: Any) -> int:
        """The next bytes."""
        if self._at == len(self._block) and self._next < self._size:
            self._fetch()
        data = self._block[self._at : self._at + len(buffer)]
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)

    def _fetch(self) -> None:
        same = {"IfMatch": f'"{self._etag}"'} if self._etag else {}
        span = f"bytes={self._next}-{self._next + BLOCK_BYTES - 1}"
        try:
            answer = self._primitive._get(self._name, self._key, Range=span, **same)
        except Refused as refused:
            if refused.status == 416 and self._next == 0:  # an empty object has no first byte
                return
            raise OSError("replaced while it was read") from None
        self._block, self._at, self._etag = answer.body, 0, answer.etag
        whole = answer.fields.get("ContentRange", "").rpartition("/")[2]
        self._size = int(whole) if whole.isdecimal() else len(answer.body)
        self._next += len(answer.body)


def _md5(data: bytes) -> str:
    return base64.b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode()
