"""Breaking a farm at random by a seed, as a supervisor's nightmare, and what must hold afterwards."""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg
from support.farm import Farm, Process, parent_of
from support.rabbitmq import RabbitMQ
from support.s3server import S3Server

FINISHED = {"SUCCESS", "FAILURE", "CANCELED"}
FAILS = {"input": "is refused on purpose", "crash": "a bug of", "kill": "worker lost"}
"""What a stage that fails on purpose must be reported as."""


@dataclass(frozen=True)
class Shot:
    """A shot of the stress run and how it is meant to end."""

    id: str
    line: str
    fails: str = ""  # of `FAILS`; empty: it must be made


def draw_shots(folder: Path, count: int, seed: int, *, poison: bool, busy: float = 1.0) -> list[Shot]:
    """Shots of three shows that share characters; a few are made to fail.

    Args:
        folder: Where their characters' files go.
        count: How many.
        seed: Of the draw.
        poison: Whether one in 150 takes its worker with it, every time.
        busy: Scales how long stages take.
    """
    draw = random.Random(seed)
    heroes = []
    for index in range(max(2, count // 15)):
        heroes.append(folder / f"hero{index}.obj")
        heroes[-1].write_text(f"v 0 0 {index}\n")
    shots = []
    for index in range(count):
        show, hero = f"s{index % 3}", draw.randrange(len(heroes))
        fails = ""
        if index % 150 == 149 and poison:
            fails = "kill"
        elif index % 30 == 17:
            fails = "input"
        elif index % 60 == 41:
            fails = "crash"
        seconds = {stage: round(busy * draw.choice((0.02, 0.05, 0.1, 0.3, 1.5)), 3) for stage in ("rig", "takes")}
        settings = {
            # Of the character's own file only, so that shots which share one share its rig as well.
            "character": f"salt: {hero * 1009}",
            "rig": f"seconds: {round(busy * (0.05 + 0.1 * (hero % 4)), 3)}",
            "directives": f"salt: {index}, seconds: 0.02",
            "takes": f"seconds: {seconds['takes']}, kilobytes: {draw.choice((1, 8, 64))}",
            "reference_clip": "seconds: 0.02" + (f", fail: {fails}" if fails else ""),
            "delivery": f"seconds: {seconds['rig']}",
        }
        text = ", ".join(f"{stage}: {{{values}}}" for stage, values in settings.items())
        line = f"- {{show: {show}, sequence: a, shot: '{index:04d}', character: {heroes[hero]}, stages: {{{text}}}}}\n"
        shots.append(Shot(f"{show}_a_{index:04d}", line, fails))
    return shots


@dataclass
class Chaos:
    """A night's worth of bad luck: every few steps one thing breaks, by the seed; a supervisor starts it again.

    Args:
        farm: What is broken. Its scratch folder is a file system of its own when ``quota`` may fill it.
        seed: Of the order and the moments.
        pause: How long a paused worker stands still [s]; longer than the lease.
        every: Mean number of steps that end between two misfortunes.
        quota: The mount point that can be filled; None when there is none.
        most: How many misfortunes; each kind comes once before any comes again.
    """

    farm: Farm
    broker: RabbitMQ
    s3: S3Server
    seed: int
    pause: float
    every: float = 4.0
    quota: Path | None = None
    most: int = 100_000
    done: Counter[str] = field(default_factory=Counter)
    told: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._draw = random.Random(self.seed)
        self._stop = threading.Event()
        self._healing: list[threading.Thread] = []
        self._threads = [threading.Thread(target=run, daemon=True) for run in (self._break, self._supervise)]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """No more misfortunes; what is broken is mended first."""
        self._stop.set()
        if self._threads[0].ident is not None:
            self._threads[0].join()
        for thread in self._healing:
            thread.join()

    def end(self) -> None:
        """The supervisor goes home too."""
        self.stop()
        self._over = True
        if self._threads[1].ident is not None:
            self._threads[1].join()

    _over = False

    def _break(self) -> None:
        kinds: list[tuple[Callable[[], str], int]] = [
            (self._kill_worker, 6),
            (self._kill_step, 4),
            (self._pause_worker, 3),
            (self._cut_broker, 2),
            (self._restart_s3, 2),
            (self._kill_run, 3),
            (self._kill_daemon, 1),
            (self._kill_code, 1),
            (self._fill, 2),
        ]
        # Each kind once in an order of its own, then by weight: a short run has seen everything.
        first = [kind for kind, _ in kinds]
        self._draw.shuffle(first)
        while sum(self.done.values()) < self.most and self._until_steps(self._draw.expovariate(1 / self.every)):
            chosen = first.pop() if first else self._draw.choices([k for k, _ in kinds], [w for _, w in kinds])[0]
            what = chosen()
            if what:
                self.done[chosen.__name__.strip("_")] += 1
                self.told.append(f"{time.strftime('%H:%M:%S')} {what}")
                with (self.farm.folder / "chaos.txt").open("a") as file:
                    file.write(self.told[-1] + "\n")

    def _until_steps(self, more: float) -> bool:
        """Wait until that many more steps have ended: a slow machine is not broken more often than a fast one."""
        target = self._steps() + more
        while self._steps() < target:
            if self._stop.wait(0.5):
                return False
        return not self._stop.is_set()

    def _steps(self) -> int:
        path = Path(self.farm.environment["TOYFARM_JOURNAL"])
        return path.read_text().count("end ") if path.exists() else 0

    def _supervise(self) -> None:
        """Starts what has ended, as docker's restart policy does."""
        while not self._over:
            for process in list(self.farm.processes.values()):
                if not process.running:
                    process.end_rest()
                    process.start()
            time.sleep(0.5)

    def _workers(self) -> list[Process]:
        return [item for name, item in self.farm.processes.items() if name.startswith("worker") and item.running]

    def _kill_worker(self) -> str:
        worker = self._draw.choice(self._workers() or [self.farm.processes["worker-cpu"]])
        worker.send(signal.SIGKILL)
        return f"killed {worker.name}"

    def _kill_step(self) -> str:
        worker = self._draw.choice(self._workers() or [self.farm.processes["worker-cpu"]])
        children = _children(worker.popen.pid) if worker.popen else []
        if not children:
            return ""
        _kill(self._draw.choice(children))
        return f"killed the process of {worker.name} that makes steps"

    def _pause_worker(self) -> str:
        worker = self._draw.choice(self._workers() or [self.farm.processes["worker-cpu"]])
        group = worker.popen.pid if worker.popen else 0
        worker.send(signal.SIGSTOP)
        self._later(self.pause, lambda: _signal_group(group, signal.SIGCONT))
        return f"paused {worker.name} for {self.pause:.0f} s"

    def _cut_broker(self) -> str:
        self.broker.cut()
        down = self._draw.uniform(0.5, 4)
        time.sleep(down)
        self.broker.start()
        self.broker.wait()
        return f"the broker was away for {down:.1f} s and its start"

    def _restart_s3(self) -> str:
        self.s3.stop(kill=True)
        down = self._draw.uniform(0.2, 3)
        time.sleep(down)
        self.s3.start()
        self.s3.wait()
        return f"the S3 server was away for {down:.1f} s and its start"

    def _kill_run(self) -> str:
        code = self.farm.processes["code"].popen
        runs = [pid for pid in _children(code.pid) if b"spawn_main" in _command(pid)] if code else []
        if not runs:
            return ""
        _kill(self._draw.choice(runs))
        return "killed the process of a run"

    def _kill_daemon(self) -> str:
        self.farm.processes["daemon"].send(signal.SIGKILL)
        return "killed the daemon"

    def _kill_code(self) -> str:
        self.farm.processes["code"].send(signal.SIGKILL)
        return "killed the code location with all its runs"

    def _fill(self) -> str:
        if self.quota is None:
            return ""
        ballast = self.quota / "ballast"
        with ballast.open("wb") as file:
            try:
                while True:
                    file.write(b"\0" * 65536)
                    file.flush()
            except OSError:
                pass
        seconds = self._draw.uniform(2, 8)
        self._later(seconds, lambda: ballast.unlink(missing_ok=True))
        return f"filled the scratch file system for {seconds:.1f} s"

    def _later(self, seconds: float, what: Callable[[], Any]) -> None:
        def heal() -> None:
            time.sleep(seconds)
            what()

        thread = threading.Thread(target=heal, daemon=True)
        thread.start()
        self._healing.append(thread)


@dataclass
class Mount:
    """A small file system for scratch folders, so that it can be full; needs the right to mount."""

    place: Path
    megabytes: int = 8
    mounted: bool = False

    def up(self) -> bool:
        self.place.mkdir(parents=True, exist_ok=True)
        command = ["mount", "-t", "tmpfs", "-o", f"size={self.megabytes}m,mode=0777", "tmpfs", str(self.place)]
        self.mounted = subprocess.run(command, capture_output=True).returncode == 0
        return self.mounted

    def down(self) -> None:
        if self.mounted:
            subprocess.run(["umount", "-l", str(self.place)], capture_output=True)


def run_counts(instance: dg.DagsterInstance, batch: str) -> Counter[str]:
    """How many runs of a batch are in each state."""
    return Counter(run.status.value for run in instance.get_runs(dg.RunsFilter(tags={"studio/batch": batch})))


def last_words(instance: dg.DagsterInstance, shot: str) -> str:
    """Why the shot's last run failed, as Dagster tells it; empty when it didn't."""
    runs = instance.get_runs(dg.RunsFilter(tags={"studio/shot": shot}), limit=1)
    if not runs or runs[0].status != dg.DagsterRunStatus.FAILURE:
        return ""
    texts = []
    for entry in instance.all_logs(runs[0].run_id):
        event = entry.dagster_event
        if event is not None and event.is_step_failure:
            texts.append(event.step_failure_data.error_display_string)
        elif event is not None and event.is_run_failure:
            texts.append(event.message or "")
    return re.sub(r"\s+", " ", " | ".join(texts))


def _children(pid: int) -> list[int]:
    running = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdecimal()]
    return [other for other in running if parent_of(other) == pid]


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def _signal_group(group: int, number: int) -> None:
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return
