"""`shualian audit`: who did what, is the trail the one that was written, and can somebody else check that?"""

import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from server.commands.mistakes import CommandError, ExitCode
from server.commands.options import Json
from server.commands.output import console, plain, print_json, show_list, show_record
from server.commands.remote import admin
from server.commands.session import session_of
from server.commands.shown import shown
from shualian.admin.v1 import audit_pb2 as pb
from shualian.admin.v1.audit_pb2_grpc import AuditServiceStub

app = typer.Typer(name="audit", help="The audit trail.", no_args_is_help=True, add_completion=False)

_TIME = ["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%S%z"]
Since = Annotated[datetime | None, typer.Option("--since", help="Entries from then on, UTC.", formats=_TIME)]
Until = Annotated[datetime | None, typer.Option("--until", help="Entries before then, UTC.", formats=_TIME)]
Actor = Annotated[str, typer.Option("--actor", help="Who did it, e.g. operator:lin.")]
Action = Annotated[str, typer.Option("--action", help="What was done, e.g. terminal.revoked.")]
Subject = Annotated[str, typer.Option("--subject", help="To what: the id of a terminal, site, ...")]


@app.command("list")
def list_entries(
    context: typer.Context,
    *,
    since: Since = None,
    until: Until = None,
    actor: Actor = "",
    action: Action = "",
    subject: Subject = "",
    limit: Annotated[int, typer.Option("--limit", help="How many of the newest; 0 for all.", min=0)] = 50,
    as_json: Json = False,
) -> None:
    """List the newest entries."""
    wanted = _request(since=since, until=until, actor=actor, action=action, subject=subject)
    wanted.limit, wanted.newest_first = limit, True
    entries = [_record(entry) for entry in _entries(context, wanted)]
    columns = ("entry_id", "recorded_at", "actor", "action", "subject", "reason")
    show_list("entries", entries, columns=columns, as_json=as_json, empty="No such entry.")


@app.command("export")
def export(
    context: typer.Context,
    *,
    format_: Annotated[str, typer.Option("--format", help="jsonl: one JSON object a line.")] = "jsonl",
    since: Since = None,
    until: Until = None,
    actor: Actor = "",
    action: Action = "",
    subject: Subject = "",
) -> None:
    """Print entries, oldest first, one JSON object a line; all of them can be verified elsewhere."""
    if format_ != "jsonl":
        raise typer.BadParameter("only jsonl", param_hint="--format")
    for entry in _entries(context, _request(since=since, until=until, actor=actor, action=action, subject=subject)):
        fields = {field.name: getattr(entry, field.name) for field in entry.DESCRIPTOR.fields}
        sys.stdout.write(json.dumps(fields, ensure_ascii=False) + "\n")


@app.command("verify")
def verify(
    context: typer.Context,
    *,
    checkpoint: Annotated[
        Path | None, typer.Option("--checkpoint", help="File with a checkpoint that you kept.", exists=True)
    ] = None,
    log: Annotated[
        Path | None,
        typer.Option("--log", help="A whole exported log: checked here, without any platform.", exists=True),
    ] = None,
    key: Annotated[
        Path | None, typer.Option("--key", help="Public key of the platform's audit, with --log.", exists=True)
    ] = None,
    as_json: Json = False,
) -> None:
    """Walk the hash chain and compare it with a signed checkpoint; exit code 1 when they do not agree."""
    token = _token(checkpoint) if checkpoint else ""
    if log is not None:
        found = _verified_offline(log, token, key)
    else:
        with admin(session_of(context)) as api:
            found = shown(AuditServiceStub(api).Verify(pb.VerifyRequest(checkpoint=token)))
    _show_verdict(found, as_json=as_json)


@app.command("checkpoint")
def create_checkpoint(
    context: typer.Context,
    *,
    reason: Annotated[str, typer.Option("--reason", help="Why, for the audit trail.")],
    after_restore: Annotated[
        bool, typer.Option("--after-restore", help="Sign although a backup was restored and entries are missing.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Sign the log as it stands; the last line is the checkpoint, to be kept elsewhere."""
    with admin(session_of(context)) as api:
        wanted = pb.CreateCheckpointRequest(reason=reason, after_restore=after_restore)
        made = AuditServiceStub(api).CreateCheckpoint(wanted).checkpoint
    show_record(shown(made), as_json=as_json, title="Log signed", leave_out=("token",))
    if not as_json:
        sys.stdout.write(made.token + "\n")


@app.command("checkpoints")
def list_checkpoints(
    context: typer.Context,
    *,
    limit: Annotated[int, typer.Option("--limit", help="How many of the newest.", min=1, max=10_000)] = 20,
    as_json: Json = False,
) -> None:
    """List the checkpoints, newest first."""
    with admin(session_of(context)) as api:
        answer = AuditServiceStub(api).ListCheckpoints(pb.ListCheckpointsRequest(limit=limit))
    columns = ("checkpoint_id", "made_at", "entries", "head")
    empty = "No checkpoint yet; the platform makes one every hour."
    records = [shown(checkpoint) for checkpoint in answer.checkpoints]
    show_list("checkpoints", records, columns=columns, as_json=as_json, empty=empty)


@app.command("key")
def show_key(context: typer.Context) -> None:
    """Print the public key that checks checkpoints; hand it to the auditor in person."""
    with admin(session_of(context)) as api:
        answer = AuditServiceStub(api).ListCheckpoints(pb.ListCheckpointsRequest(limit=1))
    sys.stdout.write(answer.public_key_pem)


def _request(
    *, since: datetime | None, until: datetime | None, actor: str, action: str, subject: str
) -> pb.ListEntriesRequest:
    wanted = pb.ListEntriesRequest(actor=actor, action=action, subject=subject)
    for field, moment in ((wanted.since, since), (wanted.until, until)):
        if moment is not None:
            field.FromDatetime(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
    return wanted


def _entries(context: typer.Context, wanted: pb.ListEntriesRequest) -> Iterator[pb.AuditEntry]:
    with admin(session_of(context)) as api:
        for answer in AuditServiceStub(api).ListEntries(wanted):
            yield answer.entry


def _record(entry: pb.AuditEntry) -> dict[str, Any]:
    recorded_at = datetime.fromtimestamp(entry.recorded_at / 1_000_000, tz=UTC)
    return {**shown(entry), "recorded_at": recorded_at}


def _token(path: Path) -> str:
    """Return the checkpoint in a file: the token itself, or the last line of a checkpoint file."""
    text = path.read_text(encoding="utf-8").strip()
    last = text.splitlines()[-1] if text else ""
    try:
        return str(json.loads(last)["token"]) if last.startswith("{") else last
    except (ValueError, KeyError) as error:
        raise CommandError(f"{path} holds no checkpoint.", next="Give a line of `audit checkpoint`.") from error


def _verified_offline(log: Path, token: str, key: Path | None) -> dict[str, Any]:
    """Walk an exported log; neither database nor keys of the platform are touched."""
    from device_registry.audit.checkpoints import checkpoint_from_token  # noqa: PLC0415
    from device_registry.audit.log import AuditEntry, verify_entries  # noqa: PLC0415 - only for this

    if not token or key is None:
        raise CommandError(
            "An exported log is compared with a checkpoint and its public key.",
            next="Name both: --checkpoint FILE --key FILE.",
            code=ExitCode.USAGE,
        )
    known = checkpoint_from_token(token, key.read_bytes())
    with log.open(encoding="utf-8") as lines:
        try:
            report = verify_entries((AuditEntry(**json.loads(line)) for line in lines), known=known.report)
        except (ValueError, TypeError) as error:
            raise CommandError(f"{log} is no exported log.", next="`shualian audit export` writes one.") from error
    ok = report.broken_at is None
    return {"ok": ok, **plain(report), "broken_at": report.broken_at or 0, "checkpoint": plain(known)}


def _show_verdict(found: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(found)
    else:
        out = console()
        broken = f"[red]broken at entry {found['broken_at']}[/]: {found['detail']}"
        out.print(f"{found['entries']} entries, {'[green]unbroken[/]' if found['ok'] else broken}")
        out.print(f"head {found['head']}")
        known = found["checkpoint"]
        if known:
            out.print(f"compared with checkpoint {known['checkpoint_id']}, signed over {known['entries']} entries")
        else:
            out.print("[yellow]no checkpoint yet:[/] entries cut off at the end would not be noticed")
    if not found["ok"]:
        raise typer.Exit(ExitCode.REFUSED)
