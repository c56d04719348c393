"""The parent's side of the fleet bench: several processes of terminals, ordered about and counted as one."""

import multiprocessing
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection as Pipe
from multiprocessing.context import SpawnProcess

from bench.deployment import BenchError, Deployment, allow_open_files
from bench.holders import Count, Party, hold
from bench.terminals import Identity

PROCESSES = 2
"""As many as cores on the machine that the targets are for; each holds at most some thousands."""
LOOK_EVERY_SECONDS = 0.05
LEAVE_SECONDS_MAX = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Crowd:
    """Every terminal of the bench."""

    pipes: Sequence[Pipe]

    def count(self, order: str = "count") -> Count:
        """Give every process an order and return how all of them stand after it."""
        for pipe in self.pipes:
            pipe.send(order)
        try:
            counts: list[Count] = [pipe.recv() for pipe in self.pipes]
        except (EOFError, ConnectionError) as error:
            raise BenchError("a process of terminals ended; what it said is above") from error
        return Count(
            connected=sum(count.connected for count in counts),
            welcomed_at=max(count.welcomed_at for count in counts),
            attempts=sum(count.attempts for count in counts),
            failures=_sums(count.failures for count in counts),
            refused={name: at for count in counts for name, at in count.refused.items()},
        )

    def wait(self, is_so: Callable[[Count], bool], *, within: float, what: str) -> Count:
        """Look until something is so; return the count of that moment.

        Raises:
            BenchError: it did not come to that.
        """
        until = time.monotonic() + within
        while True:
            count = self.count()
            if is_so(count):
                return count
            if time.monotonic() > until:
                raise BenchError(f"{what}: not within {within:.0f} s; {count.connected} are connected")
            time.sleep(LOOK_EVERY_SECONDS)


def _sums(all_failures: Iterable[dict[str, int]]) -> dict[str, int]:
    sums: Counter[str] = Counter()
    for failures in all_failures:
        sums.update(failures)
    return dict(sums)


@contextmanager
def a_crowd(deployment: Deployment, identities: Sequence[Identity]) -> Iterator[Crowd]:
    """Give terminals that are ready to `come` to a server that runs; they leave when the block ends."""
    allow_open_files(len(identities))
    context = multiprocessing.get_context("spawn")
    processes: list[SpawnProcess] = []
    pipes: list[Pipe] = []
    for number in range(PROCESSES):
        ours, theirs = context.Pipe()
        process = context.Process(target=hold, args=(theirs,), daemon=True)
        process.start()
        theirs.close()
        processes.append(process)
        pipes.append(ours)
        ours.send(
            Party(
                target=deployment.ready.terminal,
                root_pem=deployment.root_pem,
                identities=tuple(identities[number::PROCESSES]),
            )
        )
    try:
        crowd = Crowd(pipes=pipes)
        crowd.count()  # answered once keys and certificates are loaded, which is not what is measured
        yield crowd
    finally:
        for pipe in pipes:
            pipe.close()
        for process in processes:
            process.join(timeout=LEAVE_SECONDS_MAX)
            process.kill()
