"""How many face sessions does one platform hold at once, how soon does it decide, and who waits for whom?

The server is the real one, as a process; terminals of their own certificates hold real sessions over mutual TLS, with
frames by the clock that were rendered beforehand (simulated people) and a seal over them. Three things are measured:

- alone: one session after another; the platform's processor time for a session against the bare inference of its very
  frames, and the time from the last needed frame to the decision,
- full load: as many terminals as are asked for, each with a session at all times,
- beside others: two terminals send as many frames as they may, in as many sessions, and a third one holds its own.

The memory of prints is full from the beginning: each decision searches all of it. Everybody is honest, and is who they
say they are: whoever is not recognised is counted with the reason that the platform's audit has for it.
"""

import asyncio
import json
import os
import statistics
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from itertools import cycle
from typing import Final
from urllib.request import urlopen
from uuid import uuid4

import numpy as np
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import Connection, insert

from bench.deployment import BenchError, Deployment, Settings, a_deployment, percentile
from bench.face_pipeline import bare_calls
from bench.face_reels import Reel, reels
from bench.face_window import FaceTerminal, Told, a_face_terminal, in_turn, made_up_people
from bench.terminals import enrolled
from device_registry.audit.log import AuditFilter, AuditLog
from face_pipeline import Action, Challenge, FacePipeline, FrameError, Template, Verdict, portrait
from face_pipeline.liveness.replay import PRINT_BYTES
from server import convert
from server.faces.loading import load_faces
from server.store.tables.faces import face_prints
from server.wiring import utc_now
from shualian.terminal.v1 import face_pb2

AT_ONCE: Final = 4
"""Sessions at full load, two a core of the machine that the targets are for."""
GREEDY: Final = 2
GREEDY_SESSIONS: Final = 2
"""Sessions a terminal may have at once (`limits.face_sessions_per_terminal_max`)."""
GREEDY_FRAMES: Final = 30
FRAMES_PER_SECOND: Final = 12
"""What the platform asks for."""
REMEMBERED: Final = 200_000
"""Prints: as many as the memory holds."""
PRINTS_OF_SESSION: Final = 50
SETTINGS: Final[Settings] = {
    "face.failures_per_claim_max": 1_000,
    "face.failures_per_terminal_max": 100_000,
    "limits.face_sessions_per_worker_max": 100,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How much is measured."""

    alone: int
    """Sessions."""
    full_seconds: float
    beside: int
    """Sessions."""
    visits: int
    """Rendered before; each is shown once, for shown again it would be a replay."""


WHOLE: Final = Plan(alone=30, full_seconds=60, beside=12, visits=250)
QUICK: Final = Plan(alone=2, full_seconds=4, beside=1, visits=40)


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """What the server had done at a moment."""

    at: float
    cpu_seconds: float
    looked_at: float
    dropped: float


@dataclass(slots=True, kw_only=True)
class Load:
    """What all measurements share."""

    deployment: Deployment
    terminals: Sequence[FaceTerminal]
    greedy: Sequence[FaceTerminal]
    claims: Iterator[str]
    visits: Iterator[Reel]
    pipeline: FacePipeline
    template: Template
    bare_ms: list[float] = field(default_factory=list)
    """Of one frame, session by session."""

    async def session(self, terminal: FaceTerminal) -> Told:
        """Hold one honest session."""
        visit = next(self.visits, None)
        if visit is None:
            raise BenchError("no visit is left that was not shown before; this machine is faster than was foreseen")
        sitting = await terminal.begun(next(self.claims), visit)
        return await sitting.decided()

    def spent(self) -> Spent:
        """Ask the server what it has done."""
        with urlopen(f"http://{self.deployment.ready.http}/metrics", timeout=10) as answer:  # our own
            families = text_string_to_metric_families(answer.read().decode())
        frames = Counter[str]()
        for family in families:
            if family.name == "shualian_face_frames":
                frames.update({sample.labels["result"]: int(sample.value) for sample in family.samples
                               if sample.name.endswith("_total")})  # fmt: skip
        return Spent(
            at=time.monotonic(),
            cpu_seconds=self.deployment.cpu_seconds(),
            looked_at=frames["LOOKED_AT"],
            dropped=frames["DROPPED"],
        )


def measure(quick: bool, sessions: int | None = None) -> dict[str, object]:  # noqa: FBT001  # every bench is called alike
    """Return what sessions cost and how soon they are decided: alone, at full load and beside others."""
    plan, at_once = QUICK if quick else WHOLE, sessions or AT_ONCE
    with a_deployment(SETTINGS) as deployment:
        pipeline = load_faces(deployment.config)
        picture = portrait(deployment.config.models_dir, "grace_hopper").read_bytes()
        visits, template = in_turn(reels(pipeline, picture), plan.visits), pipeline.enroll(picture)
        deployment.write(_fill_memory)
        id_numbers = made_up_people(deployment, template, 2 * (at_once + GREEDY * GREEDY_SESSIONS))
        return asyncio.run(_measured(deployment, plan, at_once, pipeline, template, id_numbers, visits))


async def _measured(  # noqa: PLR0917  # the two halves of `measure`
    deployment: Deployment,
    plan: Plan,
    at_once: int,
    pipeline: FacePipeline,
    template: Template,
    id_numbers: Sequence[str],
    visits: Sequence[Reel],
) -> dict[str, object]:
    identities = enrolled(deployment, at_once + GREEDY)
    deployment.start()
    async with AsyncExitStack() as stack:
        connected = [
            await stack.enter_async_context(
                a_face_terminal(
                    deployment, each, frames_per_second=FRAMES_PER_SECOND if index < at_once else GREEDY_FRAMES
                )
            )
            for index, each in enumerate(identities)
        ]
        load = Load(
            deployment=deployment,
            terminals=connected[:at_once],
            greedy=connected[at_once:],
            claims=cycle(id_numbers),
            visits=iter(visits),
            pipeline=pipeline,
            template=template,
        )
        await load.session(load.terminals[0])  # warms up
        alone = {"face_load_of_machine": round(os.getloadavg()[0], 1), **await _alone(load, plan.alone)}
        return alone | await _full(load, plan.full_seconds) | await _beside(load, plan.beside, alone)


async def _alone(load: Load, sessions: int) -> dict[str, object]:
    """Hold sessions one after another, each beside the bare inference of its frames."""
    told, server_ms = [], []
    for _ in range(sessions):
        before = load.spent()
        told.append(await load.session(load.terminals[0]))
        after = load.spent()
        server_ms.append(1000 * (after.cpu_seconds - before.cpu_seconds) / (after.looked_at - before.looked_at))
        load.bare_ms.append(_bare_ms(load, told[-1]))
    ratios = [ours / bare for ours, bare in zip(server_ms, load.bare_ms, strict=True)]
    return {
        "face_load_ratio": round(statistics.median(ratios), 3),
        "face_load_frame_server_ms": round(statistics.median(server_ms), 2),
        "face_load_frame_bare_ms": round(statistics.median(load.bare_ms), 2),
        "face_load_session_frames": statistics.median(len(each.sent) for each in told),
        **_decided(load, "alone", told),
    }


async def _full(load: Load, seconds: float) -> dict[str, object]:
    """Keep every terminal in a session."""
    told: list[Told] = []
    before, until = load.spent(), time.monotonic() + seconds

    async def sit(terminal: FaceTerminal) -> None:
        while time.monotonic() < until:
            told.append(await load.session(terminal))

    await asyncio.gather(*map(sit, load.terminals))
    after = load.spent()
    took, looked_at, dropped = after.at - before.at, after.looked_at - before.looked_at, after.dropped - before.dropped
    cpu = after.cpu_seconds - before.cpu_seconds
    return {
        "face_load_at_once": len(load.terminals),
        "face_load_decisions_per_second": round(len(told) / took, 2),
        "face_load_frames_per_second": round(looked_at / took, 1),
        "face_load_frames_dropped": round(dropped / max(dropped + looked_at, 1), 4),
        "face_load_full_ratio": round(1000 * cpu / looked_at / statistics.median(load.bare_ms), 3),
        "face_load_cores": round(cpu / took, 2),
        **_decided(load, "full", told),
    }


async def _beside(load: Load, sessions: int, alone: dict[str, object]) -> dict[str, object]:
    """Let two terminals send all they may, and hold the sessions of a third."""
    over = asyncio.Event()
    others: list[Told] = []

    async def crowd(terminal: FaceTerminal) -> None:
        while not over.is_set():
            others.append(await load.session(terminal))

    crowds = [asyncio.create_task(crowd(terminal)) for terminal in load.greedy for _ in range(GREEDY_SESSIONS)]
    await asyncio.sleep(1)
    told = [await load.session(load.terminals[0]) for _ in range(sessions)]
    over.set()
    await asyncio.gather(*crowds)
    figures = _decided(load, "beside", told)
    times = [(figures[f"face_load_beside_{name}"], alone[f"face_load_alone_{name}"]) for name in ("p50_ms", "seconds")]
    p50, whole = (float(str(beside)) / float(str(by_itself)) for beside, by_itself in times)
    return {
        **figures,
        "face_load_beside_p50_ratio": round(p50, 2),
        "face_load_beside_seconds_ratio": round(whole, 2),
        "face_load_beside_others_seconds": round(statistics.median(each.seconds for each in others), 2),
        "face_load_beside_others_matched": _matched(others),
        "face_load_beside_others_not_matched": _not_matched(load, others),
    }


def _decided(load: Load, name: str, told: Sequence[Told]) -> dict[str, object]:
    times = [each.decision_ms for each in told]
    return {
        f"face_load_{name}_sessions": len(told),
        f"face_load_{name}_matched": _matched(told),
        f"face_load_{name}_not_matched": _not_matched(load, told),
        f"face_load_{name}_seconds": round(statistics.median(each.seconds for each in told), 2),
        f"face_load_{name}_p50_ms": round(percentile(times, 0.5), 1),
        f"face_load_{name}_p95_ms": round(percentile(times, 0.95), 1),
    }


def _matched(told: Sequence[Told]) -> int:
    return sum(each.outcome == "MATCHED" for each in told)


def _not_matched(load: Load, told: Sequence[Told]) -> dict[str, int]:
    domain = load.deployment.domain
    with domain.engine.connect() as connection:
        return not_matched(connection, domain.audit, told)


def not_matched(connection: Connection, audit: AuditLog, told: Sequence[Told]) -> dict[str, int]:
    """Count who was not recognised by what the terminal was told, and by why, which the audit alone knows."""
    ends = Counter[str]()
    for each in told:
        if each.outcome != "MATCHED":
            where = AuditFilter(action="face.decided", subject=each.session_id)
            reasons = [json.loads(entry.details)["reasons"] for entry in audit.entries(connection, where)]
            ends[": ".join([each.outcome, *filter(None, reasons)])] += 1
    return dict(ends.most_common())


def _bare_ms(load: Load, told: Told) -> float:
    """Return the processor time of the inferences alone that a session needs, for each of its frames."""
    challenge = Challenge(
        actions=tuple(
            Action[face_pb2.ChallengeAction.Name(each).removeprefix("CHALLENGE_ACTION_")] for each in told.actions
        ),
        deadline=load.pipeline.policy.challenge_deadline,
    )

    fed: list[int] = []

    def hold(pipeline: FacePipeline) -> None:
        session = pipeline.open_session(challenge=challenge, template=load.template)
        for frame in told.sent:
            fed.append(frame.sequence)
            with suppress(FrameError):
                if isinstance(session.feed(convert.frame(frame)), Verdict):
                    return  # the platform drew other frames to compare, or dropped some, and needed more

    calls = bare_calls(load.pipeline, hold)
    began = time.process_time()
    for session, planes in calls:
        session.run(planes)
    return 1000 * (time.process_time() - began) / len(fed)


def _fill_memory(connection: Connection) -> None:
    """Write as many prints of sessions that never were as the memory holds."""
    draw = np.random.default_rng(1)
    rows = [
        {
            "session_id": str(uuid4()),
            "terminal_id": str(uuid4()),
            "recorded_at": utc_now(),
            "prints": draw.bytes(PRINTS_OF_SESSION * PRINT_BYTES),
        }
        for number in range(REMEMBERED // PRINTS_OF_SESSION)
    ]
    connection.execute(insert(face_prints), rows)
