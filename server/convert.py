"""How does a message become a record, and a record a message? Pure, both ways, one pair for each thing."""

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from device_registry import model as registry
from device_registry.commands.command_parameters import HEARTBEAT_INTERVAL, URL
from device_registry.commands.command_records import CommandAction, CommandOutcome
from device_registry.commands.commands import Delivery
from device_registry.fleet.places import Position
from face_pipeline import Action, Guidance, Modality, Outcome, Progress
from face_pipeline import Frame as PipelineFrame
from server.refusals import FieldViolation, InvalidRequestError
from server.settlement import model as settlement
from server.settlement.reconciliation.terminals import DayItem, DayTotals
from shualian.terminal.v1 import device_pb2, face_pb2, settlement_pb2

SECONDS_MAX = 253_402_300_799  # the last second of the year 9999
NANOS_END = 1_000_000_000
EPOCH_YEAR = 1970


def timestamp(moment: datetime) -> Timestamp:
    """Return an aware moment as the protocol writes it."""
    message = Timestamp()
    message.FromDatetime(moment)
    return message


def moment(message: Timestamp, field: str) -> datetime:
    """Return a time of the protocol as an aware moment, UTC.

    Raises:
        InvalidRequestError: no such moment exists.
    """
    if not 0 <= message.seconds <= SECONDS_MAX or not 0 <= message.nanos < NANOS_END:
        raise InvalidRequestError(violations=(FieldViolation(field=field, rule="must be a moment after 1970"),))
    return message.ToDatetime(tzinfo=UTC)


def day(text: str, field: str) -> date:
    """Return a day of the protocol.

    Raises:
        InvalidRequestError: the calendar has no such day, or it is before 1970.
    """
    try:
        parsed = date.fromisoformat(text)
    except ValueError:
        parsed = date.min
    if not EPOCH_YEAR <= parsed.year < date.max.year:
        raise InvalidRequestError(violations=(FieldViolation(field=field, rule="must be a day after 1970"),))
    return parsed


def duration(span: timedelta) -> Duration:
    """Return a span as the protocol writes it."""
    message = Duration()
    message.FromTimedelta(span)
    return message


# Terminals


_CAMERA_STATES = {
    device_pb2.CAMERA_STATE_READY: registry.CameraState.READY,
    device_pb2.CAMERA_STATE_DEGRADED: registry.CameraState.DEGRADED,
    device_pb2.CAMERA_STATE_FAILED: registry.CameraState.FAILED,
}
_COMMAND_OUTCOMES = {
    device_pb2.COMMAND_OUTCOME_DONE: CommandOutcome.DONE,
    device_pb2.COMMAND_OUTCOME_FAILED: CommandOutcome.FAILED,
    device_pb2.COMMAND_OUTCOME_UNSUPPORTED: CommandOutcome.UNSUPPORTED,
}


def position(message: device_pb2.Hello) -> Position | None:
    """Return where a terminal says it stands, None when it does not say."""
    if not message.HasField("position"):
        return None
    said = message.position
    return Position(latitude=said.latitude, longitude=said.longitude, accuracy_metres=said.accuracy_metres)


def heartbeat_report(message: device_pb2.Heartbeat) -> registry.HeartbeatReport:
    """Return what a terminal says of itself."""
    return registry.HeartbeatReport(
        terminal_time=moment(message.terminal_time, "heartbeat.terminal_time"),
        camera_state=_CAMERA_STATES[message.camera_state],
        temperature_celsius=message.temperature_celsius,
        queue_length=message.queue_length,
    )


def command_outcome(message: device_pb2.CommandResult) -> CommandOutcome:
    """Return how a command went."""
    return _COMMAND_OUTCOMES[message.outcome]


def command(delivery: Delivery) -> device_pb2.Command:
    """Return a command as the terminal reads it."""
    record = delivery.command
    message = device_pb2.Command(command_id=record.command_id, expires_at=timestamp(record.expires_at))
    match record.action:
        case CommandAction.RENEW_CERTIFICATE:
            message.renew_certificate.SetInParent()
        case CommandAction.SET_CONFIGURATION:
            interval = timedelta(milliseconds=int(record.parameters[HEARTBEAT_INTERVAL]))
            message.set_configuration.heartbeat_interval.FromTimedelta(interval)
        case CommandAction.COLLECT_DIAGNOSTICS:
            message.collect_diagnostics.SetInParent()
        case CommandAction.OFFER_FIRMWARE:
            message.offer_firmware.CopyFrom(_firmware_offer(delivery))
        case CommandAction.RESTART:
            message.restart.SetInParent()
        case CommandAction.LOCK:
            message.lock.SetInParent()
        case CommandAction.UNLOCK:
            message.unlock.SetInParent()
    return message


def _firmware_offer(delivery: Delivery) -> device_pb2.OfferFirmwareCommand:
    firmware = delivery.firmware
    if firmware is None:
        raise ValueError("an offer without its firmware")
    return device_pb2.OfferFirmwareCommand(
        model=firmware.model,
        version=firmware.version,
        sha256=firmware.sha256,
        size_bytes=firmware.size_bytes,
        url=str(delivery.command.parameters[URL]),
        manifest=firmware.manifest,
        signature=firmware.signature,
    )


# Faces

_HINTS = {
    Guidance.HOLD_STILL: face_pb2.HINT_HOLD_STILL,
    Guidance.NO_FACE: face_pb2.HINT_NO_FACE,
    Guidance.SEVERAL_FACES: face_pb2.HINT_SEVERAL_FACES,
    Guidance.COME_CLOSER: face_pb2.HINT_COME_CLOSER,
    Guidance.MOVE_BACK: face_pb2.HINT_MOVE_BACK,
    Guidance.CENTRE_FACE: face_pb2.HINT_CENTRE_FACE,
    Guidance.MORE_LIGHT: face_pb2.HINT_MORE_LIGHT,
    Guidance.LESS_LIGHT: face_pb2.HINT_LESS_LIGHT,
    Guidance.BLURRED: face_pb2.HINT_BLURRED,
    Guidance.STRAIGHTEN_HEAD: face_pb2.HINT_STRAIGHTEN_HEAD,
    Guidance.TURN_LEFT: face_pb2.HINT_TURN_LEFT,
    Guidance.TURN_RIGHT: face_pb2.HINT_TURN_RIGHT,
    Guidance.LOOK_STRAIGHT: face_pb2.HINT_LOOK_STRAIGHT,
    Guidance.NOD: face_pb2.HINT_NOD,
    Guidance.UNCOVER_EYES: face_pb2.HINT_UNCOVER_EYES,
    Guidance.UNCOVER_MOUTH: face_pb2.HINT_UNCOVER_MOUTH,
}
_ACTIONS = {
    Action.TURN_LEFT: face_pb2.CHALLENGE_ACTION_TURN_LEFT,
    Action.TURN_RIGHT: face_pb2.CHALLENGE_ACTION_TURN_RIGHT,
    Action.NOD: face_pb2.CHALLENGE_ACTION_NOD,
    Action.COME_CLOSER: face_pb2.CHALLENGE_ACTION_COME_CLOSER,
}
_MODALITIES = {face_pb2.MODALITY_NIR: Modality.NIR, face_pb2.MODALITY_DEPTH: Modality.DEPTH}
_OUTCOMES = {
    Outcome.MATCHED: face_pb2.DECISION_OUTCOME_MATCHED,
    Outcome.NOT_MATCHED: face_pb2.DECISION_OUTCOME_NOT_MATCHED,
    Outcome.SPOOF_SUSPECTED: face_pb2.DECISION_OUTCOME_SPOOF_SUSPECTED,
    Outcome.INSUFFICIENT: face_pb2.DECISION_OUTCOME_INSUFFICIENT,
}


def frame(message: face_pb2.Frame) -> PipelineFrame:
    """Return a picture as the pipeline takes it."""
    captured_at = moment(message.captured_at, "frame.captured_at")
    pictures = {picture.modality: picture.data for picture in message.pictures}
    return PipelineFrame(
        sequence=message.sequence,
        captured_at=captured_at,
        jpeg=pictures[face_pb2.MODALITY_RGB],  # protovalidate: always there, and first
        nir=pictures.get(face_pb2.MODALITY_NIR),
        depth=pictures.get(face_pb2.MODALITY_DEPTH),
    )


def modalities(beside_colour: Iterable["face_pb2.Modality.ValueType"]) -> frozenset[Modality]:
    """Return what a camera promised beside colour."""
    return frozenset(_MODALITIES[modality] for modality in beside_colour)


def challenge_action(action: Action) -> "face_pb2.ChallengeAction.ValueType":
    """Return one thing to do with the head."""
    return _ACTIONS[action]


def guidance(progress: Progress) -> face_pb2.Guidance:
    """Return what the person should do now. How far they are is told in tenths: no finer scale to climb on (I9)."""
    return face_pb2.Guidance(
        hint=_HINTS[progress.guidance],
        action_index=progress.action_index,
        action_progress=round(progress.action_fraction, 1),
    )


def decision_outcome(outcome: Outcome) -> "face_pb2.DecisionOutcome.ValueType":
    """Return how a session ended."""
    return _OUTCOMES[outcome]


# Money

_SETTLEMENT_STATES = {
    settlement.SettlementState.PENDING: settlement_pb2.SETTLEMENT_STATE_PENDING,
    settlement.SettlementState.SETTLED: settlement_pb2.SETTLEMENT_STATE_SETTLED,
    settlement.SettlementState.FAILED: settlement_pb2.SETTLEMENT_STATE_FAILED,
    settlement.SettlementState.UNKNOWN: settlement_pb2.SETTLEMENT_STATE_UNKNOWN,
    settlement.SettlementState.REVERSED: settlement_pb2.SETTLEMENT_STATE_REVERSED,
    settlement.SettlementState.CANCELLED: settlement_pb2.SETTLEMENT_STATE_CANCELLED,
}


def bill(message: settlement_pb2.Bill) -> settlement.Bill:
    """Return what a site asks for."""
    return settlement.Bill(
        bill_number=message.bill_number,
        business_type=int(message.business_type),
        total_fen=message.total_fen,
        not_covered_fen=message.not_covered_fen,
        stay_number=message.stay_number,
        chronic_disease=message.chronic_disease,
    )


def authorization(message: settlement_pb2.Authorization) -> settlement.Authorization:
    """Return what entitles the terminal to spend; a bare ID number is not even read (I12)."""
    match message.WhichOneof("method"):
        case "face":
            return settlement.FaceAuthorization(
                assertion=message.face.assertion,
                pin=message.face.pin or None,
                staff_assertion=message.face.staff_assertion or None,
            )
        case "card":
            return settlement.CardAuthorization(card_number=message.card.card_number, pin=message.card.pin)
        case "code":
            return settlement.CodeAuthorization(code=message.code.code, pin=message.code.pin or None)
        case _:
            return settlement.BareIdNumber()


def shares(record: settlement.Shares) -> settlement_pb2.Shares:
    """Return who pays what."""
    return settlement_pb2.Shares(
        total_fen=record.total_fen,
        pooled_fund_fen=record.pooled_fund_fen,
        personal_account_fen=record.personal_account_fen,
        self_pay_fen=record.self_pay_fen,
        catastrophic_fen=record.catastrophic_fen,
        prepaid_fen=record.prepaid_fen,
    )


def reckoning(record: settlement.Reckoning) -> settlement_pb2.Reckoning:
    """Return one step of how the shares came about."""
    return settlement_pb2.Reckoning(
        step=record.step, amount_fen=record.amount_fen, text_zh=record.text_zh, text_en=record.text_en
    )


_SELF_PAY_CHANNELS = {
    settlement.SelfPayKind.CASH: settlement_pb2.SELF_PAY_CHANNEL_CASH,
    settlement.SelfPayKind.ELECTRONIC_ACCOUNT: settlement_pb2.SELF_PAY_CHANNEL_ELECTRONIC_ACCOUNT,
    settlement.SelfPayKind.CREDIT: settlement_pb2.SELF_PAY_CHANNEL_CREDIT,
}
_SELF_PAY_KINDS = {channel: kind for kind, channel in _SELF_PAY_CHANNELS.items()}


def self_pays(messages: Iterable[settlement_pb2.SelfPay]) -> tuple[settlement.SelfPay, ...]:
    """Return how the self-paid part is paid; protovalidate knows that the channels are real."""
    return tuple(
        settlement.SelfPay(kind=_SELF_PAY_KINDS[message.channel], amount_fen=message.amount_fen) for message in messages
    )


def self_pay(record: settlement.SelfPay) -> settlement_pb2.SelfPay:
    """Return a part of the self-paid part."""
    return settlement_pb2.SelfPay(channel=_SELF_PAY_CHANNELS[record.kind], amount_fen=record.amount_fen)


def self_pay_offer(record: settlement.SelfPayOffer) -> settlement_pb2.SelfPayOffer:
    """Return what one channel could pay of the self-paid part."""
    return settlement_pb2.SelfPayOffer(
        channel=_SELF_PAY_CHANNELS[record.kind], up_to_fen=record.up_to_fen, pin_required=record.pin_required
    )


def receipt(record: settlement.Receipt) -> settlement_pb2.Receipt:
    """Return what the patient takes home."""
    return settlement_pb2.Receipt(
        receipt_id=record.receipt_id,
        transaction_id=record.transaction_id,
        bill_number=record.bill_number,
        shares=shares(record.shares),
        settled_at=timestamp(record.settled_at),
        personal_account_balance_fen=record.personal_account_balance_fen,
        self_pay=[self_pay(pay) for pay in record.self_pay],
        masked_payer_name=record.masked_payer_name,
        masked_patient_name=record.masked_patient_name,
    )


def settlement_state(state: settlement.SettlementState) -> "settlement_pb2.SettlementState.ValueType":
    """Return where a settlement stands."""
    return _SETTLEMENT_STATES[state]


def day_totals(record: DayTotals) -> settlement_pb2.DayTotals:
    """Return a day in two numbers."""
    return settlement_pb2.DayTotals(settlements=record.settlements, total_fen=record.total_fen)


def day_item(record: DayItem) -> settlement_pb2.DayItem:
    """Return one settlement of a day."""
    return settlement_pb2.DayItem(
        transaction_id=record.transaction_id,
        state=settlement_state(record.state),
        total_fen=record.total_fen,
        settled_at=None if record.settled_at is None else timestamp(record.settled_at),
    )
