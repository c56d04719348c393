"""How is the face service put together? Rules, desk, memory and threads, each with what it needs, by keyword."""

from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta

from face_pipeline import FacePipeline
from monitoring.metrics import Metrics
from server.config import Config
from server.credentials.register import Register
from server.faces.attendance import Attendance
from server.faces.consents import ConsentBounds
from server.faces.desk import FaceDesk
from server.faces.galleries import Galleries
from server.faces.identifier import Identifier
from server.faces.integrity import CaptureChecks
from server.faces.loading import face_rules
from server.faces.looking import Looking
from server.faces.replays import Replays
from server.faces.rules import FaceRules
from server.faces.seats import FaceSeats
from server.faces.second_factor import SecondFactorBounds, SecondFactorStep
from server.faces.tries import FaceTries, TryBound, TryKind
from server.faces.turns import FrameTurns
from server.services.face import FaceBounds, FaceService
from server.store import UnitOfWork
from server.wiring import Domain

TERMINAL_TRIES_WITHIN = timedelta(hours=1)  # as the settings say


@dataclass(frozen=True, slots=True, kw_only=True)
class FaceRoom:
    """The face service, and what it has to do from time to time."""

    service: FaceService
    load_prints: Callable[[], Awaitable[None]]
    """Takes up the prints that came into the database; the next session would wait for it otherwise."""


def face_room(
    domain: Domain,
    unit_of_work: UnitOfWork,
    metrics: Metrics,
    *,
    pipeline: FacePipeline,
    workers: ThreadPoolExecutor,
    galleries: Galleries,
    register: Register,
) -> FaceRoom:
    """Put the face service together."""
    config = domain.config
    rules = face_rules(config, pipeline.policy)
    replays = Replays(
        unit_of_work=unit_of_work,
        executor=workers,
        now=domain.now,
        prints_max=config.face.replay_prints_max,
        distance_max=pipeline.policy.replay_distance_max,
        kept_for=config.face.replay_kept_for,
        sessions_max=config.face.replay_sessions_max,
    )
    tries = FaceTries(index_key=domain.keys.people_index, bounds=_try_bounds(config))
    return FaceRoom(
        service=FaceService(
            pipeline=pipeline,
            desk=_desk(domain, unit_of_work, rules, register),
            rules=rules,
            seats=FaceSeats(total=config.face_sessions_max, per_terminal=config.limits.face_sessions_per_terminal_max),
            looking=Looking(
                executor=workers,
                turns=FrameTurns(at_once=config.face.workers),
                metrics=metrics,
                stalled_after=config.face.stalled_after,
                frame_age_max=config.face.frame_age_max,
                guidance_interval=config.face.guidance_interval,
            ),
            checks=CaptureChecks(replays=replays, metrics=metrics, seal_within=config.face.seal_within),
            replays=replays,
            second_factor=SecondFactorStep(
                galleries=galleries,
                identifier=Identifier(unit_of_work=unit_of_work, people=domain.people),
                tries=tries,
                unit_of_work=unit_of_work,
                metrics=metrics,
                now=domain.now,
                bounds=SecondFactorBounds(
                    tries_max=config.face.second_factor_tries_max, within=config.face.second_factor_within
                ),
            ),
            tries=tries,
            metrics=metrics,
            now=domain.now,
            site_kind=lambda site_id: unit_of_work.read(
                lambda connection: domain.registry.site(connection, site_id).kind.value
            ),
            bounds=_bounds(config),
        ),
        load_prints=replays.load,
    )


def _desk(domain: Domain, unit_of_work: UnitOfWork, rules: FaceRules, register: Register) -> FaceDesk:
    face = domain.config.face
    return FaceDesk(
        unit_of_work=unit_of_work,
        people=domain.people,
        attendance=Attendance(
            unit_of_work=unit_of_work,
            practitioners=domain.practitioners,
            audit=domain.audit,
            tolerance_metres=rules.tolerance_metres,
        ),
        assertions=domain.assertions,
        staff_assertions=domain.staff_assertions,
        activations=domain.activations,
        register=register,
        audit=domain.audit,
        now=domain.now,
        consent=ConsentBounds(
            age_max=face.consent_age_max, ahead_max=face.consent_ahead_max, texts=frozenset(face.consent_texts)
        ),
    )


def _try_bounds(config: Config) -> dict[TryKind, TryBound]:
    face = config.face
    return {
        TryKind.CLAIM: TryBound(tries_max=face.failures_per_claim_max, within=face.failures_per_claim_within),
        TryKind.TERMINAL_CLAIM: TryBound(tries_max=face.failures_per_terminal_max, within=TERMINAL_TRIES_WITHIN),
        TryKind.GUESS: TryBound(tries_max=face.guesses_per_person_max, within=face.guesses_per_person_within),
        TryKind.TERMINAL_GUESS: TryBound(tries_max=face.guesses_per_terminal_max, within=TERMINAL_TRIES_WITHIN),
    }


def _bounds(config: Config) -> FaceBounds:
    return FaceBounds(
        frames_max=config.face.frames_max,
        frame_bytes_max=config.face.frame_bytes_max,
        frames_waiting_max=config.face.frames_waiting_max,
        frames_per_second=config.face.frames_per_second,
        longer_side_px=config.face.longer_side_px,
        capture_skew_max=config.face.capture_skew_max,
    )
