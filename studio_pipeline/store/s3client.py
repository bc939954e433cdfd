"""One S3 bucket through s3fs: one request at a time with retries of our own, and errors that say what to do.

s3fs brings the session, the event loop and the credentials' chain. Its own retries and botocore's are off: a request
that carries a condition may only be repeated by somebody who then asks whether an earlier try had been carried out.
"""

from __future__ import annotations

import asyncio
import collections
import logging
import os
import random
import threading
import time
from dataclasses import dataclass
from typing import Any

from studio_pipeline.schema.errors import StorageError, StorageFull, StorageRefused
from studio_pipeline.store.s3listing import read_fast

__all__ = ["Answer", "Client", "Failing", "Refused", "check_environment"]

CONNECT_TIMEOUT, READ_TIMEOUT = 5.0, 30.0  # [s]
PATIENCE = 60.0  # how long a request is repeated once the store has answered anything at all [s]
FIRST_PATIENCE = 5.0  # and before that: a wrong address should be told at once [s]
FIRST_WAIT, LONGEST_WAIT = 0.1, 5.0  # [s]

# These ask to come back, whatever their status says; no other 4xx is repeated.
_COME_BACK = {"SlowDown", "RequestTimeout", "TooManyRequests", "ConditionalRequestConflict", "OperationAborted"}
_COME_BACK_STATUS = {408, 429}

_SOURCES = (
    "AWS_ACCESS_KEY_ID",
    "AWS_PROFILE",
    "AWS_SHARED_CREDENTIALS_FILE",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
)

_REASONS = {
    "NoSuchBucket": ("there is no such bucket", "create it, or correct STUDIO_STORE"),
    "AccessDenied": ("access denied", "the key needs to read, write, list and delete below this prefix"),
    "InvalidAccessKeyId": ("the access key isn't known there", "check AWS_ACCESS_KEY_ID and AWS_ENDPOINT_URL"),
    "SignatureDoesNotMatch": ("the secret doesn't fit the access key", "check AWS_SECRET_ACCESS_KEY"),
    "ExpiredToken": ("the session token has expired", "renew AWS_SESSION_TOKEN"),
    "InvalidToken": ("the session token isn't valid", "renew AWS_SESSION_TOKEN"),
    "RequestTimeTooSkewed": ("this machine's clock is wrong", "set it (NTP)"),
    "QuotaExceeded": ("the bucket's quota is used up", "free some space (studio gc), or raise the quota"),
    "403": ("access denied", "check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and the key's rights"),
    "301": ("the bucket is in another region", "set AWS_REGION"),
    "PermanentRedirect": ("the bucket is in another region", "set AWS_REGION"),
    "507": ("the store is full", "free some space (studio gc)"),
}
_FULL = {"QuotaExceeded"}

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Answer:
    """What came back: the parsed answer, with the body's bytes where there is one."""

    fields: dict[str, Any]
    body: bytes

    @property
    def etag(self) -> str:
        """The object's etag without quotes."""
        return self.fields.get("ETag", "").strip('"')

    @property
    def headers(self) -> dict[str, str]:
        """HTTP headers, names in lower case."""
        return self.fields["ResponseMetadata"]["HTTPHeaders"]


class Failing(StorageError):
    """The store answers, but for as long as we had patience with HTTP 500: it can't do this one thing."""


class Refused(Exception):
    """A 4xx answer: repeating the request would change nothing."""

    def __init__(self, code: str, status: int) -> None:
        super().__init__(code)
        self.code, self.status = code, status


def check_environment() -> None:
    """Make sure that the environment says where credentials come from; they are never looked for elsewhere.

    Raises:
        StorageError: It doesn't.
    """
    machine_role = os.environ.get("AWS_EC2_METADATA_DISABLED", "").lower() == "false"
    if not machine_role and not any(os.environ.get(name) for name in _SOURCES):
        raise StorageRefused(
            "the environment has no credentials for S3",
            do="set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE; "
            "AWS_EC2_METADATA_DISABLED=false for a machine's role",
        )


class Client:
    """Requests to one bucket. Safe for threads, and for a process that was forked.

    Attributes:
        requests: How many requests were sent, by operation, retries included.
        retries: How many of them were repetitions.
    """

    def __init__(self, bucket: str, *, where: str, patience: float = PATIENCE) -> None:
        self.bucket, self._where, self._patience = bucket, where, patience
        self.requests: collections.Counter[str] = collections.Counter()
        self.retries = 0
        self._answered = False
        self._mutex = threading.Lock()
        self._owner, self._system = -1, None

    def call(self, operation: str, **parameters: Any) -> Answer:
        """Send one request of botocore's S3 client and wait for the answer, body included.

        Trouble that may pass (no connection, timeouts, 5xx, requests to come back later) is repeated with growing,
        jittered pauses.

        Raises:
            Refused: The store said no.
            StorageError: The trouble didn't pass, or there are no credentials.
        """
        from fsspec.asyn import sync

        tries, began, wait = 0, time.monotonic(), FIRST_WAIT
        while True:
            tries += 1
            with self._mutex:
                self.requests[operation] += 1
                self.retries += tries > 1
            system = self._filesystem()
            try:
                fields, body = sync(system.loop, _send, system, operation, {"Bucket": self.bucket, **parameters})
            except Exception as error:  # sorted out by what it is; nothing is swallowed
                trouble = self._judge(error)
            else:
                self._answered = True
                return Answer(fields, body)
            patience = self._patience if self._answered else min(FIRST_PATIENCE, self._patience)
            if (took := time.monotonic() - began) + wait > patience:
                kind = Failing if trouble.startswith("HTTP 500") else StorageError
                raise kind(
                    f"the S3 store doesn't answer as it should ({trouble}; {tries} tries in {took:.0f} s)",
                    where=self._where,
                    do="check AWS_ENDPOINT_URL and the service, then run again; what was finished is kept",
                ) from None
            pause = wait * random.uniform(0.5, 1.5)
            _log.info("%s: %s, try %d again in %.1f s", operation, trouble, tries, pause)
            time.sleep(pause)
            wait = min(2 * wait, LONGEST_WAIT)

    def explain(self, refused: Refused) -> StorageError:
        """A refusal as one line. What the service wrote is left out: it may quote keys and signatures."""
        found = _REASONS.get(refused.code) or _REASONS.get(str(refused.status))
        reason, do = found or (f"the S3 store refuses ({refused.code}, HTTP {refused.status})", "")
        kind = StorageFull if refused.code in _FULL or refused.status == 507 else StorageRefused
        return kind(reason, where=self._where, do=do)

    def _judge(self, error: Exception) -> str:
        """What passing trouble it is; everything else is raised."""
        from botocore import exceptions as known

        if isinstance(error, known.ClientError):
            answer = error.response
            code = str(answer.get("Error", {}).get("Code", ""))
            status = int(answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
            self._answered = True
            if status == 507:
                raise self.explain(Refused(code, status)) from None
            if status >= 500 or status in _COME_BACK_STATUS or code in _COME_BACK:
                return f"HTTP {status} {code}"
            raise Refused(code, status) from None
        if isinstance(error, known.NoCredentialsError | known.PartialCredentialsError | known.ProfileNotFound):
            raise StorageRefused(
                "the environment has no usable credentials for S3",
                where=self._where,
                do="set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE",
            ) from None
        if _may_pass(error):
            return type(error).__name__
        raise StorageRefused(f"the S3 request failed ({type(error).__name__})", where=self._where) from None

    def _filesystem(self) -> Any:
        """The s3fs file system of this process; a forked child makes its own."""
        with self._mutex:
            if self._owner != os.getpid():
                import s3fs

                endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
                self._system = s3fs.S3FileSystem(
                    anon=False,
                    endpoint_url=endpoint or None,
                    use_listings_cache=False,
                    skip_instance_cache=True,
                    config_kwargs={
                        "retries": {"total_max_attempts": 1},
                        "connect_timeout": CONNECT_TIMEOUT,
                        "read_timeout": READ_TIMEOUT,
                        "max_pool_connections": 64,
                        "user_agent": "studio_pipeline",  # botocore puts its own together for every request
                        # Content-MD5 is sent instead: every S3 service knows it.
                        "request_checksum_calculation": "when_required",
                        "response_checksum_validation": "when_required",
                        "s3": {"addressing_style": "path" if endpoint else "auto"},
                    },
                )
                self._owner = os.getpid()
            return self._system


async def _send(system: Any, operation: str, parameters: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
    await system.set_session()
    client = await system.get_s3(parameters["Bucket"])
    if operation == "list_objects_v2":
        read_fast(client)
    fields = await getattr(client, operation)(**parameters)
    body = b""
    if hasattr(fields.get("Body"), "read"):
        async with fields.pop("Body") as stream:
            body = await stream.read()
        if len(body) != fields["ContentLength"]:
            raise ConnectionError("the body was cut off")
    return fields, body


def _may_pass(error: Exception) -> bool:
    import aiohttp
    from botocore import exceptions as known

    if isinstance(error, known.SSLError):  # a certificate that isn't trusted stays so
        return False
    kinds = (
        known.ConnectionError,
        known.HTTPClientError,  # connecting, timeouts, connections that break
        known.IncompleteReadError,
        known.ResponseStreamingError,
        aiohttp.ClientError,
        asyncio.TimeoutError,
        ConnectionError,
        TimeoutError,
    )
    # Half an answer cannot be parsed.
    return isinstance(error, kinds) or type(error).__name__ == "ResponseParserError"
