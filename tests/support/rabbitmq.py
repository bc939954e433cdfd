"""A real RabbitMQ for tests: a node of its own on loopback with its own Erlang port mapper, ended by process id."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.ports import free_ports

USER = "studio"


def server_program() -> str | None:
    """The node's own start script; the one on the path switches users and forgets the environment."""
    places = sorted(Path("/usr/lib/rabbitmq").glob("lib/*/sbin/rabbitmq-server"), reverse=True)
    return str(places[0]) if places else shutil.which("rabbitmq-server")


def why_not() -> str:
    """Why there can be no RabbitMQ here; empty when there can."""
    if server_program() is None or shutil.which("epmd") is None:
        return "RabbitMQ isn't installed (apt install rabbitmq-server)"
    return ""


class RabbitMQ:
    """One node; its queues and messages below ``folder`` survive a restart.

    Args:
        folder: Where everything goes.
        settings: Path of the ``rabbitmq.conf`` to start with; listeners, user and password are added to it.
    """

    def __init__(self, folder: Path, settings: Path | None = None) -> None:
        self.folder = folder
        self.port, self._distribution, self._epmd_port = free_ports(3)
        self.password = "mq-" + uuid.uuid4().hex
        for name in ("mnesia", "log", "home"):
            (folder / name).mkdir(parents=True)
        shipped = settings.read_text(encoding="utf-8") if settings else ""
        own = [
            f"listeners.tcp.1 = 127.0.0.1:{self.port}",
            f"default_user = {USER}",
            f"default_pass = {self.password}",
            "heartbeat = 6",  # [s] a paused worker is noticed within a test
            "vm_memory_high_watermark.absolute = 1GB",
            "disk_free_limit.absolute = 50MB",
        ]
        kept = [line for line in shipped.splitlines() if not line.startswith(("listeners.", "heartbeat"))]
        (folder / "rabbitmq.conf").write_text("\n".join([*kept, *own]) + "\n")
        (folder / "enabled_plugins").write_text("[].\n")
        self._epmd: subprocess.Popen[bytes] | None = None
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"amqp://{USER}:{self.password}@127.0.0.1:{self.port}//"

    def start(self) -> None:
        """Start the node; `wait` says when it takes messages."""
        folder, environment = self.folder, self._environment()
        with (folder / "node.log").open("ab") as log:
            if self._epmd is None:
                command = ["epmd", "-port", str(self._epmd_port), "-address", "127.0.0.1"]
                self._epmd = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
            # A session of its own: the script starts Erlang as a child, and both end together.
            self.process = subprocess.Popen(
                [server_program() or ""], stdout=log, stderr=log, env=environment, cwd=folder, start_new_session=True
            )

    def wait(self, seconds: float = 90.0) -> None:
        """Until a client can log in."""
        import kombu

        deadline = time.monotonic() + seconds
        while True:
            try:
                with kombu.Connection(self.url, connect_timeout=3) as connection:
                    connection.connect()
                return
            except Exception:
                if time.monotonic() > deadline or self.process is None or self.process.poll() is not None:
                    raise
                time.sleep(0.3)

    def cut(self) -> None:
        """End the node as a crash would; what was written to durable queues stays."""
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None
        self._until_free()

    def stop(self) -> None:
        """End the node and its port mapper."""
        self.cut()
        if self._epmd is not None:
            self._epmd.kill()
            self._epmd.wait()
            self._epmd = None

    def log(self) -> str:
        return (self.folder / "node.log").read_text(errors="replace")[-2000:]

    def _until_free(self) -> None:
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind(("127.0.0.1", self.port))
                    return
                except OSError:
                    time.sleep(0.1)

    def _environment(self) -> dict[str, str]:
        folder = self.folder
        return {
            **{name: os.environ[name] for name in ("PATH", "LANG", "TZ") if name in os.environ},
            "HOME": str(folder / "home"),  # for the Erlang cookie
            "RABBITMQ_NODENAME": f"studio-test-{self.port}@localhost",
            "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(folder / "log"),
            "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "enabled_plugins"),
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_DIST_PORT": str(self._distribution),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1} +S 1:1",
            "ERL_EPMD_PORT": str(self._epmd_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
        }


@pytest.fixture(scope="session")
def rabbitmq(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> Iterator[RabbitMQ]:
    """One RabbitMQ a session; tests that want it skip where it isn't installed."""
    if reason := why_not():
        pytest.skip(reason)
    server = RabbitMQ(tmp_path_factory.mktemp("rabbitmq"), repository / "deploy" / "rabbitmq.conf")
    try:
        server.start()
        server.wait()
        yield server
    finally:
        server.stop()
