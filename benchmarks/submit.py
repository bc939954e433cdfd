"""How long `studio submit` takes for a batch of real shots that lack everything, and for one that lacks nothing new.

    python benchmarks/submit.py [--shots 200] [--disk]

A PostgreSQL, an S3 server and a code location on loopback (as the tests start them), the real graph of 13 stages,
nobody who takes runs off the queue. Prints wall seconds and CPU seconds of the command; the servers' come on top.
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from support.farm import Farm
from support.postgres import Postgres
from support.rabbitmq import RabbitMQ
from support.s3server import S3Server

SHOT = "- {{show: q, sequence: a, shot: '{0:04d}', character: mochi, frames: [1, 4], resolution: [64, 64]}}\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shots", type=int, default=200)
    parser.add_argument("--disk", action="store_true", help="the store on a disk instead of S3")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="studio-submit-") as folder:
        postgres, broker = Postgres(), RabbitMQ(Path(folder) / "mq")  # nobody connects to the broker: it isn't started
        s3 = None if arguments.disk else S3Server(Path(folder) / "weed")
        farm = None
        try:
            postgres.start()
            if s3 is not None:
                s3.start()
                s3.wait()
            farm = Farm(Path(folder) / "farm", postgres=postgres, broker=broker, s3=s3, toys=False)
            (farm.folder / "shots.yaml").write_text("".join(SHOT.format(index) for index in range(arguments.shots)))
            farm.start("code")
            farm.wait_for_code()
            for name, words in (("--dry-run", ["--dry-run"]), ("queued", []), ("again", [])):
                before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
                done = farm.studio("submit", "shots.yaml", *words, seconds=3600)
                after, wall = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic() - began
                cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
                assert done.returncode == 0, done.stderr
                print(
                    f"{name:10} {wall:6.1f} s wall {cpu:6.1f} s CPU   {done.stdout.splitlines()[-1][:60]}", flush=True
                )
        finally:
            if farm is not None:
                farm.end()
            if s3 is not None:
                s3.stop(kill=True)
            postgres.stop()


if __name__ == "__main__":
    main()
