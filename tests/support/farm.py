"""A whole farm on loopback from `deploy/`: the compose file's own commands, real PostgreSQL, RabbitMQ and S3."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from support.ports import free_ports
from support.postgres import Postgres
from support.rabbitmq import RabbitMQ
from support.s3server import S3Server

REPOSITORY = Path(__file__).resolve().parents[2]
DEPLOY = REPOSITORY / "deploy"
TOYS = Path(__file__).with_name("farm_graph")


def compose() -> dict[str, Any]:
    """`docker-compose.yaml` as written."""
    return yaml.safe_load((DEPLOY / "docker-compose.yaml").read_text(encoding="utf-8"))


def substituted(text: str, environment: Mapping[str, str]) -> str:
    """``${NAME}``, ``${NAME:-default}`` and ``${NAME:?complaint}`` put in, as docker compose does."""

    def value(match: re.Match[str]) -> str:
        name, mark, rest = match.groups()
        if environment.get(name):
            return environment[name]
        assert mark != ":?", rest
        return rest or ""

    return re.sub(r"\$\{([A-Z0-9_]+)(?:(:[-?])([^}]*))?\}", value, text)


def command_of(service: str, environment: Mapping[str, str]) -> list[str]:
    """The command line that a container of a service of ours would run."""
    found = compose()["services"][service]
    words = [substituted(word, environment) for word in found["command"]]
    # The package of this checkout, with the programs of this environment.
    programs = {
        "studio": ["-m", "studio_pipeline.cli"],
        "dagster": ["-m", "dagster"],
        "dagster-daemon": ["-m", "dagster._daemon"],
    }
    return [sys.executable, *programs[words[0]], *words[1:]]


class Process:
    """One process of the farm, started again as often as wanted, ended by its process id."""

    def __init__(self, farm: Farm, service: str, name: str) -> None:
        self.farm, self.service, self.name = farm, service, name
        self.popen: subprocess.Popen[bytes] | None = None
        self.starts = 0

    def start(self) -> None:
        environment = {**self.farm.environment, "STUDIO_ALIVE": str(self.farm.folder / f"{self.name}.alive")}
        with (self.farm.folder / f"{self.name}.log").open("ab") as log:
            self.popen = subprocess.Popen(
                command_of(self.service, environment),
                cwd=self.farm.folder, env=environment, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        self.starts += 1

    @property
    def running(self) -> bool:
        return self.popen is not None and self.popen.poll() is None

    def send(self, number: int) -> None:
        """To the whole group, as ending a container does; none is started again."""
        if self.popen is not None and self.popen.poll() is None:
            os.killpg(self.popen.pid, number)

    def stop(self, number: int = signal.SIGKILL, seconds: float = 30.0) -> int | None:
        if self.popen is None:
            return None
        self.send(signal.SIGCONT)
        self.popen.send_signal(number) if number != signal.SIGKILL else self.send(number)
        try:
            code = self.popen.wait(seconds)
        except subprocess.TimeoutExpired:
            self.send(signal.SIGKILL)
            code = self.popen.wait()
        self.end_rest()
        return code

    def end_rest(self) -> None:
        """What is left of the group of a process that has ended."""
        if self.popen is not None:
            try:
                os.killpg(self.popen.pid, signal.SIGKILL)
            except ProcessLookupError:
                return

    def log(self, lines: int = 40) -> str:
        path = self.farm.folder / f"{self.name}.log"
        return "\n".join(path.read_text(errors="replace").splitlines()[-lines:]) if path.exists() else "no log"


class Farm:
    """The farm's home, settings and processes.

    Args:
        folder: Where everything goes.
        broker: Running.
        postgres: Running.
        s3: Running; None keeps the store in the home.
        toys: The toy graph instead of the real one.
        settings: What to change in ``dagster.yaml``, by path.
    """

    def __init__(
        self,
        folder: Path,
        *,
        postgres: Postgres,
        broker: RabbitMQ,
        s3: S3Server | None = None,
        toys: bool = True,
        settings: Mapping[tuple[str, ...], Any] | None = None,
        **more: str,
    ) -> None:
        self.folder, self.broker, self.s3 = folder, broker, s3
        self.database = postgres.database()
        self.postgres = postgres
        folder.mkdir(parents=True, exist_ok=True)
        self._settings(settings or {})
        code, ui = free_ports(2)
        self.ui_port = ui
        paths = [str(TOYS)] if toys else []
        self.environment = {
            **{name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TZ", "TMPDIR") if name in os.environ},
            "PYTHONPATH": os.pathsep.join([*paths, str(REPOSITORY)]),
            "PYTHONUNBUFFERED": "1",
            "OMP_NUM_THREADS": "1",
            "STUDIO_EXECUTOR": compose()["x-studio"]["environment"]["STUDIO_EXECUTOR"],
            "STUDIO_HOME": str(folder / "home"),
            "DAGSTER_HOME": str(folder / "dagster"),
            "STUDIO_WORKSPACE": str(DEPLOY / "workspace.yaml"),
            "STUDIO_BROKER_URL": broker.url,
            "STUDIO_CODE_HOST": "127.0.0.1",
            "STUDIO_CODE_PORT": str(code),
            "STUDIO_CODE_LISTEN": "127.0.0.1",
            "STUDIO_UI_LISTEN": "127.0.0.1",
            "STUDIO_UI_PORT": str(ui),
            "TOYFARM_JOURNAL": str(folder / "journal.txt"),
            **postgres.environment(self.database),
            **(s3.environment if s3 else {}),
            **({"STUDIO_STORE": s3.place()} if s3 else {}),
            **more,
        }
        self.processes: dict[str, Process] = {}

    def _settings(self, changes: Mapping[tuple[str, ...], Any]) -> None:
        found = yaml.safe_load((DEPLOY / "dagster.yaml").read_text(encoding="utf-8"))
        for path, value in changes.items():
            place = found
            for step in path[:-1]:
                place = place.setdefault(step, {})
            place[path[-1]] = value
        (self.folder / "dagster").mkdir(exist_ok=True)
        (self.folder / "dagster" / "dagster.yaml").write_text(yaml.safe_dump(found))

    def start(self, service: str, name: str = "") -> Process:
        process = self.processes.setdefault(name or service, Process(self, service, name or service))
        process.start()
        return process

    def studio(self, *words: str, seconds: float = 300.0) -> subprocess.CompletedProcess[str]:
        """The `studio` command as somebody at a desk of the farm gives it."""
        return subprocess.run(
            [sys.executable, "-m", "studio_pipeline.cli", *words],
            cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=seconds,
        )  # fmt: skip

    def wait_for_code(self, seconds: float = 60.0) -> None:
        """Until the code location's server answers."""
        import socket

        deadline = time.monotonic() + seconds
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", int(self.environment["STUDIO_CODE_PORT"]))) == 0:
                    return
            code = self.processes["code"]
            assert code.running and time.monotonic() < deadline, code.log()
            time.sleep(0.2)

    def instance(self) -> Any:
        """Dagster's instance of the farm, opened in this process; the environment must be the farm's."""
        import dagster as dg

        return dg.DagsterInstance.from_config(str(self.folder / "dagster"))

    def end(self) -> None:
        for process in self.processes.values():
            process.stop()
        shutil.rmtree(self.folder / "home" / "scratch", ignore_errors=True)


def live_leases(store: Any) -> list[str]:
    """Who holds a lease that hasn't run out, of processes that are alive."""
    names = [entry.name for entry in store.primitive.list("leases/")]
    keys = [Path(name).stem for name in names if name.endswith(".json")]
    return [busy.holder for key in keys if (busy := store.leases.holder(key)) is not None]


def generations(store: Any) -> dict[str, list[str]]:
    """Committed generations by key, and whether each is quarantined: ``{"<key>": ["g0001", "g0002 quarantined"]}``."""
    found: dict[str, dict[str, set[str]]] = {}
    for entry in store.primitive.list("artifacts/"):
        _, _, key, generation, *rest = entry.name.split("/")
        found.setdefault(key, {}).setdefault(generation, set()).add("/".join(rest))
    return {
        key: [
            generation + (" quarantined" if any(name.startswith("quarantined") for name in names) else "")
            for generation, names in sorted(by.items())
            if "manifest.json" in names
        ]
        for key, by in found.items()
    }


def journal(farm: Farm) -> list[list[str]]:
    """What the toy stages wrote down: what (begin, end), stage, process, time."""
    path = Path(farm.environment["TOYFARM_JOURNAL"])
    return [line.split() for line in path.read_text().splitlines()] if path.exists() else []


def parent_of(pid: int) -> int:
    """The parent of a process; 0 when it is gone."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def until(what: Any, seconds: float, say: Any = lambda: "") -> Any:
    """Wait until ``what()`` gives something true; a farm that stands still fails the test with ``say()``."""
    deadline = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < deadline, say()
        time.sleep(0.25)
    return found
