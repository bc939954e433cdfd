"""A real PostgreSQL for tests: a cluster of its own on loopback, started and ended by its process id."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.ports import free_ports

USER = "studio"


def program(name: str) -> str | None:
    """A program of PostgreSQL: on the path, or where Debian keeps it."""
    places = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), reverse=True)
    return shutil.which(name) or (str(places[0]) if places else None)


def why_not() -> str:
    """Why there can be no PostgreSQL here; empty when there can."""
    if program("postgres") is None or program("initdb") is None:
        return "PostgreSQL isn't installed (apt install postgresql)"
    if os.geteuid() == 0 and _account() is None:
        return "PostgreSQL doesn't run as root, and there is no user postgres"
    return ""


def _account() -> pwd.struct_passwd | None:
    try:
        return pwd.getpwnam("postgres")
    except KeyError:
        return None


class Postgres:
    """One cluster; databases are made by name. Its password is drawn anew for every cluster."""

    def __init__(self) -> None:
        self.port = free_ports(1)[0]
        self.password = "pg-" + uuid.uuid4().hex
        # Not below pytest's folder: another user can't pass through that.
        self.folder = Path(tempfile.mkdtemp(prefix="studio-pg-"))
        self._as: dict[str, object] = {}
        if os.geteuid() == 0 and (account := _account()) is not None:
            os.chown(self.folder, account.pw_uid, account.pw_gid)
            self._as = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Make the cluster when it isn't there, start it, wait until it answers."""
        if not (self.folder / "data").exists():
            secret = self.folder / "password"
            secret.write_text(self.password)
            secret.chmod(0o644)
            self._call("initdb", "-D", "data", "-U", USER, "-A", "scram-sha-256", "--pwfile=password", "-E", "UTF8")
            secret.unlink()
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "unix_socket_directories": self.folder,
            "fsync": "off",  # a machine that loses its power is another test's business
            "max_connections": 300,
            "shared_buffers": "32MB",
        }
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        with (self.folder / "postgres.log").open("ab") as log:
            self.process = subprocess.Popen(
                [program("postgres") or "", "-D", "data", *options],
                cwd=self.folder, stdout=log, stderr=log, start_new_session=True, **self._as,  # pyright: ignore
            )  # fmt: skip
        deadline = time.monotonic() + 60
        while not self._answers():
            assert self.process.poll() is None and time.monotonic() < deadline, self.log()
            time.sleep(0.1)

    def stop(self) -> None:
        """End it at once, by its process id, and remove the cluster."""
        if self.process is not None:
            self.process.send_signal(signal.SIGQUIT)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
            self.process = None
        shutil.rmtree(self.folder, ignore_errors=True)

    def cut(self) -> None:
        """The database's machine loses its power; `start` brings it back with what it had."""
        assert self.process is not None
        self.process.send_signal(signal.SIGQUIT)
        self.process.wait(30)

    def dump(self, database: str) -> str:
        """All that a database holds, as text."""
        done = subprocess.run(
            [program("pg_dump") or "", "--dbname", self.url(database), "--inserts"], capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def database(self, name: str = "") -> str:
        """Make a database; gives its name."""
        import psycopg2

        name = name or "db_" + uuid.uuid4().hex[:10]
        connection = psycopg2.connect(self.url("postgres"))
        connection.autocommit = True
        try:
            connection.cursor().execute(f'CREATE DATABASE "{name}"')
        finally:
            connection.close()
        return name

    def url(self, database: str) -> str:
        return f"postgresql://{USER}:{self.password}@127.0.0.1:{self.port}/{database}"

    def environment(self, database: str) -> dict[str, str]:
        """What the farm's ``dagster.yaml`` asks the environment for."""
        return {
            "STUDIO_PG_HOST": "127.0.0.1",
            "STUDIO_PG_PORT": str(self.port),
            "STUDIO_PG_USER": USER,
            "STUDIO_PG_PASSWORD": self.password,
            "STUDIO_PG_DATABASE": database,
            "STUDIO_RESULTS_URL": "db+" + self.url(database),
        }

    def log(self) -> str:
        path = self.folder / "postgres.log"
        return path.read_text(errors="replace")[-2000:] if path.exists() else "no log"

    def _answers(self) -> bool:
        import psycopg2

        try:
            psycopg2.connect(self.url("postgres"), connect_timeout=2).close()
        except psycopg2.OperationalError:
            return False
        return True

    def _call(self, name: str, *words: str) -> None:
        done = subprocess.run(
            [program(name) or "", *words], cwd=self.folder, capture_output=True, text=True, **self._as  # pyright: ignore
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """One PostgreSQL a session; tests that want it skip where it isn't installed."""
    if reason := why_not():
        pytest.skip(reason)
    server = Postgres()
    try:
        server.start()
        yield server
    finally:
        server.stop()
