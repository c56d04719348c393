"""How does a rollout look while one watches it? A bar on a terminal; else a line, or JSON, for each change."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from server.commands.output import console, print_json
from shualian.admin.v1 import rollout_pb2 as pb

Tell = Callable[[pb.Rollout], None]
OPEN = frozenset({pb.MEMBER_STATE_PENDING, pb.MEMBER_STATE_QUEUED})


@contextmanager
def following(*, as_json: bool) -> Iterator[Tell]:
    """Yield what tells people or programs how a rollout stands."""
    if as_json or not sys.stdout.isatty():
        yield _lines(as_json=as_json)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[numbers]}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console()) as progress:
        task = progress.add_task("rollout", total=None, numbers="")

        def tell(rollout: pb.Rollout) -> None:
            progress.update(
                task,
                description=f"{_state(rollout)}, group {rollout.group_now} of {len(rollout.group_ends)}",
                total=rollout.members,
                completed=_settled(rollout),
                numbers=_numbers(rollout),
            )

        yield tell


def _lines(*, as_json: bool) -> Tell:
    last = ""

    def tell(rollout: pb.Rollout) -> None:
        nonlocal last
        line = f"{_state(rollout)} group {rollout.group_now}/{len(rollout.group_ends)} {_numbers(rollout)}"
        if line == last:
            return
        last = line
        if as_json:
            counts = {_name(count): count.members for count in rollout.counts}
            print_json({"state": _state(rollout), "group_now": rollout.group_now, **counts})
        else:
            console().print(line)

    return tell


def _state(rollout: pb.Rollout) -> str:
    return pb.RolloutState.Name(rollout.state).removeprefix("ROLLOUT_STATE_")


def _name(count: pb.MemberCount) -> str:
    return pb.MemberState.Name(count.state).removeprefix("MEMBER_STATE_").lower()


def _numbers(rollout: pb.Rollout) -> str:
    return ", ".join(f"{_name(count)} {count.members}" for count in rollout.counts)


def _settled(rollout: pb.Rollout) -> int:
    return sum(count.members for count in rollout.counts if count.state not in OPEN)
