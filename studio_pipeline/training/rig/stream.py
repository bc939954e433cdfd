"""A stream of procedural characters, drawn in processes of their own while the network learns.

Every character serves several batches, each time seen differently (`batches.view`): drawing one costs about as much as
learning from it.
"""

from __future__ import annotations

import multiprocessing
import queue
import threading
from collections.abc import Callable
from typing import Generic, Self, TypeVar

import numpy as np

__all__ = ["Stream"]

Drawn = TypeVar("Drawn")
_WAIT = 5.0  # seconds without a new character after which the processes are looked at


class Stream(Generic[Drawn]):
    """Examples without end; the same seed gives every drawing process the same characters.

    Args:
        draw: Makes one example; a function of a module, or a partial of one, so that processes can have it.
        seed: What no other stream of the same training may have.
        workers: Drawing processes.
        capacity: Examples kept to be used again.
        reuse: How often each serves in the mean.
    """

    def __init__(
        self,
        draw: Callable[[np.random.Generator], Drawn],
        *,
        seed: int,
        workers: int,
        capacity: int = 4096,
        reuse: float = 2.0,
    ) -> None:
        context = multiprocessing.get_context("spawn")
        self.capacity, self.reuse = capacity, reuse
        self.kept: list[Drawn] = []
        self.drawn = 0  # examples so far
        self.used = 0.0
        self.hungry = False  # a batch waits
        self.rng = np.random.default_rng([seed, 0])
        self.news = threading.Condition()
        self.queue = context.Queue(maxsize=8)
        self.processes = [
            context.Process(target=_draw, args=(draw, self.queue, [seed, worker + 1]), daemon=True)
            for worker in range(workers)
        ]
        for process in self.processes:
            process.start()
        self.closed = False
        threading.Thread(target=self._receive, daemon=True).start()

    def batch(self, size: int) -> list[Drawn]:
        """Examples [size] of those that are kept, once enough are.

        Raises:
            RuntimeError: The drawing processes have ended.
        """
        with self.news:
            while self.drawn < 4 * size or self.used + size > self.reuse * self.drawn:
                self.hungry = True
                self.news.notify_all()
                if not self.news.wait(_WAIT) and not any(process.is_alive() for process in self.processes):
                    raise RuntimeError("the processes that draw characters ended: see what they said above")
            self.hungry = False
            self.used += size
            self.news.notify_all()
            return [self.kept[k] for k in self.rng.integers(0, len(self.kept), size)]

    def _receive(self) -> None:
        """Take examples in as they come, a little ahead of what is needed."""
        while not self.closed:
            try:
                example = self.queue.get(timeout=1.0)
            except queue.Empty:
                continue
            except (EOFError, OSError):
                return
            with self.news:
                if len(self.kept) < self.capacity:
                    self.kept.append(example)
                else:
                    self.kept[self.drawn % self.capacity] = example
                self.drawn += 1
                self.news.notify_all()
                ahead = self.used + 0.25 * self.capacity
                while self.reuse * self.drawn > ahead and not (self.hungry or self.closed):
                    self.news.wait(1.0)
                    ahead = self.used + 0.25 * self.capacity

    def close(self) -> None:
        """End the drawing processes."""
        self.closed = True
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            process.join(10.0)
            if process.is_alive():  # on a busy machine, or where the signal was held up
                process.kill()
                process.join(10.0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _draw(draw: Callable, out: multiprocessing.Queue, seed: list[int]) -> None:
    rng = np.random.default_rng(seed)
    trainer = multiprocessing.parent_process()
    out.cancel_join_thread()
    while True:
        example = draw(rng)
        while True:
            try:
                out.put(example, timeout=5.0)
                break
            except queue.Full:
                if trainer is None or not trainer.is_alive():  # it was killed
                    return
