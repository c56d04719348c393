"""The running platform: services, layers and background work on top of the domain, put together on one screen."""

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import timedelta
from zoneinfo import ZoneInfo

import structlog

from device_registry import Standings
from face_pipeline import FacePipeline
from monitoring.metrics import Metrics
from server.administration.building import AdminDoor, admin_door
from server.background import Background, Job
from server.chains import chains, challenge_rate
from server.config import Config
from server.credentials.building import RegisterRoom, credential_room, register_room
from server.credentials.pin import Pins
from server.crl import RevocationLists
from server.doubt_room import doubt_room
from server.faces.building import face_room
from server.faces.galleries import Galleries
from server.faces.gallery_building import galleries_of
from server.health import Health, database_check, lag_check
from server.insurers import close_insurer, insurer_jobs, insurer_of
from server.interceptors import Chain, IdentityLayer
from server.interceptors.limits import Buckets
from server.live.authority import AuthorityWatch, count_authority, counted_material, signing_check, trust_check
from server.live.checkpoints import CheckpointKeeper
from server.live.commanding import COMMANDS_EVERY, commanding_of
from server.live.control import ControlStreams
from server.live.counting import counted_batch, counted_cut
from server.live.fleet_watch import FleetWatch
from server.live.following import RegistryWatch
from server.live.identity_survey import IDENTITY_SURVEY_EVERY, IdentitySurvey
from server.live.presence import PresenceBook
from server.live.streams import LiveStreams
from server.live.survey import Survey
from server.live.witness import VouchLayer, WitnessKeeper, WitnessLayer, in_turn
from server.services.credential import CredentialService
from server.services.device import DeviceService
from server.services.enrollment import EnrollmentService
from server.services.face import FaceService
from server.services.settlement import SettlementService
from server.settlement.desk import SettlementDesk
from server.settlement.limits import SettlementLimits
from server.store import EventFollower, StoreError, UnitOfWork
from server.tls import ServerTls
from server.ways_seen import WaysSeen
from server.wiring import Domain

log = structlog.get_logger()

FOLLOW_AGAIN_AFTER = timedelta(seconds=1)
PRESENCE_EVERY = timedelta(milliseconds=500)
READINESS_EVERY = timedelta(seconds=5)
SURVEY_EVERY = timedelta(seconds=15)
CHECKPOINT_LOOKED_AT = timedelta(minutes=1)
FACE_PRINTS_EVERY = timedelta(seconds=30)
ACTIVATIONS_EVERY = timedelta(minutes=1)
SWEEP_EVERY = timedelta(milliseconds=500)


@dataclass(frozen=True, slots=True, kw_only=True)
class Platform:
    """Everything that runs, before a port is opened."""

    config: Config
    domain: Domain
    metrics: Metrics
    unit_of_work: UnitOfWork
    desk: SettlementDesk
    pins: Pins
    face_workers: ThreadPoolExecutor
    galleries: Galleries
    register: RegisterRoom
    follower: EventFollower
    watch: RegistryWatch
    presence: PresenceBook
    streams: LiveStreams
    witness: WitnessKeeper
    revocation_lists: RevocationLists
    control: ControlStreams
    tls: ServerTls
    health: Health
    background: Background
    enrollment_chain: Chain
    terminal_chain: Chain
    enrollment: EnrollmentService
    device: DeviceService
    face: FaceService
    credential: CredentialService
    settlement: SettlementService
    admin: AdminDoor

    async def start(self) -> None:
        """Take up what the database says, work off a former life, and begin to follow."""
        self.unit_of_work.start()
        await self.witness.begin()
        await self.follower.mark()
        await self.watch.load()
        await self.desk.recover()
        self.background.start()

    async def stop(self) -> None:
        """End the background work, let half-made settlements land, write what is left, and close the books."""
        await self.background.stop()
        await self.desk.drain()
        try:
            await self.presence.flush()
        except StoreError as error:
            log.warning("presence_lost", reason=error.reason)
        self.witness.close()
        await self.register.close()
        await close_insurer(self.domain.insurer)
        await asyncio.to_thread(self.unit_of_work.close)
        self.pins.close()
        self.enrollment.close()
        self.galleries.close()
        self.face_workers.shutdown(wait=True, cancel_futures=True)
        self.domain.engine.dispose()


def build(domain: Domain, metrics: Metrics, *, faces: FacePipeline | None = None) -> Platform:
    """Put the platform together; the models are loaded here unless they are handed in, and without them nothing starts.

    Raises:
        ModelError: `shualian models install` was not run, or a model is not the one the manifest names.
    """
    config, now, registry = domain.config, domain.now, domain.registry
    pipeline = faces or domain.faces()
    unit_of_work = UnitOfWork(
        domain.engine,
        queue_length_max=config.store.queue_length_max,
        batch_max=config.store.batch_max,
        readers=config.store.readers,
        on_batch=counted_batch(metrics),
    )
    domain = replace(domain, insurer=insurer_of(domain, unit_of_work, metrics))
    count_authority(domain.authority, metrics)
    tls = ServerTls(config=config, authority=domain.authority, now=now, on_material=counted_material(metrics))
    authority_watch = AuthorityWatch(
        unit_of_work=unit_of_work, issuers=domain.issuers, authority=domain.authority, tls=tls
    )
    standings, streams = Standings(), LiveStreams()
    presence = PresenceBook(unit_of_work=unit_of_work, registry=registry)
    control = ControlStreams(
        unit_of_work=unit_of_work,
        commands=domain.commands,
        metrics=metrics,
        overdue_after=config.registry.overdue_after,
    )
    watch = RegistryWatch(
        unit_of_work=unit_of_work,
        standings=standings,
        streams=streams,
        now=now,
        on_command=control.deliver,
        on_cut=counted_cut(metrics),
        on_authority=authority_watch.wake,
    )
    keeper = WitnessKeeper(unit_of_work=unit_of_work, revocations=domain.revocations, streams=streams)
    checkpoints = CheckpointKeeper(
        unit_of_work=unit_of_work, checkpoints=domain.checkpoints, now=now, every=config.registry.checkpoint_interval
    )
    galleries = galleries_of(domain, unit_of_work=unit_of_work, pipeline=pipeline)
    follower = EventFollower(
        unit_of_work,
        poll_interval=config.store.poll_interval,
        on_events=in_turn(watch.on_events, keeper.on_events, galleries.on_events),
    )
    pins = Pins(
        unit_of_work=unit_of_work,
        now=now,
        data_key=domain.keys.people_data,
        attempts_max=config.settlement.pin_attempts_max,
        lock_for=config.settlement.pin_lock_for,
        on_checked=lambda result: metrics.pin_attempts.labels(result).inc(),
    )
    desk = _settlement_desk(domain, unit_of_work, pins)
    doubt = doubt_room(domain, unit_of_work, metrics)
    survey = Survey(
        unit_of_work=unit_of_work,
        registry=registry,
        metrics=metrics,
        now=now,
        certificate_lifetime=config.registry.certificate_lifetime,
    )
    fleet_watch = FleetWatch(
        unit_of_work=unit_of_work,
        fleet=domain.fleet,
        now=now,
        interval=config.fleet.audit_interval,
        look_at_witness=keeper.look,
    )
    health = Health(
        checks={
            "database": database_check(unit_of_work),
            "events": lag_check(lambda: follower.lag, config.store.lag_max),
            "trust": trust_check(tls, domain.authority, now),
            "witness": keeper.agrees,
        },
        warnings={
            "signing": signing_check(domain.authority),
            "witnessing": keeper.is_witnessed,
            "galleries": galleries.are_ready,
        },
        metrics=metrics,
    )
    identity = IdentityLayer(
        unit_of_work=unit_of_work,
        registry=registry,
        standings=standings,
        streams=streams,
        now=now,
        lag=lambda: follower.lag,
        lag_max=config.store.lag_max,
    )
    enrollment_chain, terminal_chain = chains(config, metrics, identity, VouchLayer(lambda: keeper.refusal))
    face_workers = ThreadPoolExecutor(max_workers=config.face.workers, thread_name_prefix="face")
    register = register_room(domain, unit_of_work, metrics, pipeline=pipeline, workers=face_workers)
    face = face_room(
        domain,
        unit_of_work,
        metrics,
        pipeline=pipeline,
        workers=face_workers,
        galleries=galleries,
        register=register.register,
    )
    credential = credential_room(domain, unit_of_work, metrics, pins=pins, register=register.register)
    metrics.store_queue_length.set_function(lambda: unit_of_work.queue_length)
    metrics.events_lag_seconds.set_function(lambda: follower.lag)
    metrics.last_success.labels("EVENTS").set_function(lambda: now().timestamp() - follower.lag)
    return Platform(
        config=config,
        domain=domain,
        metrics=metrics,
        unit_of_work=unit_of_work,
        desk=desk,
        pins=pins,
        face_workers=face_workers,
        galleries=galleries,
        register=register,
        follower=follower,
        watch=watch,
        presence=presence,
        streams=streams,
        witness=keeper,
        revocation_lists=RevocationLists(
            unit_of_work=unit_of_work, revocations=domain.revocations, authority=domain.authority, now=now
        ),
        control=control,
        tls=tls,
        health=health,
        background=Background(
            jobs={
                "EVENTS": Job(work=_following(follower, watch, galleries), every=FOLLOW_AGAIN_AFTER),
                "FACE_PRINTS": Job(work=face.load_prints, every=FACE_PRINTS_EVERY),
                "GALLERIES": Job(work=galleries.follow, every=FOLLOW_AGAIN_AFTER),
                "SWEEP": Job(work=watch.sweep, every=SWEEP_EVERY),
                "SILENCE": Job(work=control.end_silent, every=config.registry.overdue_after / 4),
                "ACTIVATIONS": Job(work=credential.forget_expired, every=ACTIVATIONS_EVERY),
                "PRESENCE": Job(work=presence.flush, every=PRESENCE_EVERY),
                "READINESS": Job(work=health.readiness, every=READINESS_EVERY),
                "RESOLVER": Job(work=doubt.resolver.work_off_due, every=config.settlement.resolve_interval),
                "RECONCILIATION": Job(work=doubt.reconciliation.run_if_due, every=config.settlement.reconcile_interval),
                "SERVER_CERTIFICATE": Job(work=authority_watch.follow, every=config.tls.reload_interval),
                "WITNESS": Job(work=keeper.keep_when_woken, every=timedelta()),
                "CHECKPOINT": Job(work=checkpoints.keep, every=CHECKPOINT_LOOKED_AT),
                "SURVEY": Job(work=survey.take, every=SURVEY_EVERY),
                "COMMANDS": Job(work=commanding_of(domain, unit_of_work, metrics).work, every=COMMANDS_EVERY),
                "IDENTITY_SURVEY": Job(
                    work=IdentitySurvey(domain=domain, unit_of_work=unit_of_work, metrics=metrics).take,
                    every=IDENTITY_SURVEY_EVERY,
                ),
                **insurer_jobs(domain.insurer),
                "FLEET_AUDIT": Job(work=fleet_watch.audit, every=config.fleet.audit_interval),
            },
            on_success=lambda name: metrics.last_success.labels(name).set(now().timestamp()),
        ),
        enrollment_chain=enrollment_chain,
        terminal_chain=terminal_chain,
        enrollment=EnrollmentService(
            unit_of_work=unit_of_work,
            registry=registry,
            factory=domain.factory,
            grace=domain.grace,
            findings=domain.findings,
            authority=domain.authority,
            metrics=metrics,
            now=now,
            challenges=Buckets(challenge_rate(config.registry)),
        ),
        device=DeviceService(
            unit_of_work=unit_of_work,
            registry=registry,
            commands=domain.commands,
            control=control,
            presence=presence,
            metrics=metrics,
            now=now,
            heartbeat_interval=config.registry.heartbeat_interval,
            clock_skew_warning=config.registry.clock_skew_warning,
        ),
        face=face.service,
        credential=credential.service,
        settlement=SettlementService(
            desk=desk,
            days=doubt.terminal_days,
            ways=WaysSeen(unit_of_work=unit_of_work, now=now),
            metrics=metrics,
        ),
        admin=admin_door(domain=domain, unit_of_work=unit_of_work, metrics=metrics, innermost=(WitnessLayer(keeper),)),
    )


def _settlement_desk(domain: Domain, unit_of_work: UnitOfWork, pins: Pins) -> SettlementDesk:
    config = domain.config.settlement
    return SettlementDesk(
        unit_of_work=unit_of_work,
        now=domain.now,
        people=domain.people,
        assertions=domain.assertions,
        staff_assertions=domain.staff_assertions,
        credentials=domain.credentials,
        codes=domain.codes,
        family=domain.family,
        pins=pins,
        insurer=domain.insurer,
        audit=domain.audit,
        limits=SettlementLimits(
            pin_free_fen=config.pin_free_limit_fen,
            code_pin_free_fen=domain.config.credential.code_pin_free_limit_fen,
            pin_free_day_fen=config.pin_free_day_fen,
            pin_free_day_count=config.pin_free_day_count,
        ),
        self_pays=domain.self_pays,
        quote_lifetime=config.quote_lifetime,
        site_kind=lambda connection, site_id: domain.registry.site(connection, site_id).kind.value,
        zone=ZoneInfo(config.time_zone),
        insurer_timeout=config.insurer_timeout,
    )


def _following(follower: EventFollower, watch: RegistryWatch, galleries: Galleries) -> Callable[[], Awaitable[None]]:
    """Return the job that follows all changes. After a failure it takes everything up anew: an event may be lost."""
    has_begun = False

    async def follow() -> None:
        nonlocal has_begun
        if has_begun:
            await follower.mark()
            await watch.load()
            galleries.take_up_anew()
        has_begun = True
        await follower.run()

    return follow
