"""`shualian rollout`: one command for many terminals, in groups and at a pace; and who will miss their rotation."""

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Annotated, Any

import typer

from device_registry.model import TerminalClass
from server.commands import orders
from server.commands.asked import terminal_filter
from server.commands.options import Json, Reason
from server.commands.output import console, print_json, show_list, show_record
from server.commands.remote import admin
from server.commands.rollout_progress import following
from server.commands.session import session_of
from server.commands.shown import shown
from shualian.admin.v1 import rollout_pb2 as pb
from shualian.admin.v1.rollout_pb2_grpc import RolloutServiceStub

app = typer.Typer(name="rollout", help="Commands for many terminals.", no_args_is_help=True, add_completion=False)

Id = Annotated[str, typer.Argument(metavar="ROLLOUT", help="Id of the rollout.")]
LOOK_EVERY_SECONDS = 1.0
ENDED = frozenset({pb.ROLLOUT_STATE_DONE, pb.ROLLOUT_STATE_CANCELLED, pb.ROLLOUT_STATE_STOPPED})


@app.command("start")
def start(
    context: typer.Context,
    *,
    action: Annotated[
        str, typer.Option("--action", parser=orders.action_from_text, help=", ".join(orders.ACTIONS) + ".")
    ],
    reason: Reason,
    heartbeat_seconds: orders.Heartbeat = None,
    firmware: orders.Firmware = "",
    url: orders.Url = "",
    lifetime: orders.LifetimeOption = None,
    key: orders.Key = "",
    region: Annotated[str, typer.Option("--region", help="Only this region.")] = "",
    site_id: Annotated[str, typer.Option("--site", help="Only this site.")] = "",
    terminal_class: Annotated[TerminalClass | None, typer.Option("--class", help="Only this class.")] = None,
    model: Annotated[str, typer.Option("--model", help="Only this model.")] = "",
    running: Annotated[str, typer.Option("--running", help="Only this version of the firmware.")] = "",
    issuer: Annotated[str, typer.Option("--issuer", help="Only certificates of this issuing authority.")] = "",
    expiring_within: Annotated[
        timedelta | None,
        typer.Option(
            "--expiring-within", parser=orders.span, metavar="TIME", help="Only certificates that end so soon."
        ),
    ] = None,
    groups: Annotated[
        str, typer.Option("--groups", help="Share or number of terminals after each group.")
    ] = "1%,10%,100%",
    pace: Annotated[int, typer.Option("--pace", min=1, max=3000, help="Commands a minute.")] = 60,
    stop_percent: Annotated[
        int,
        typer.Option("--stop-percent", min=0, max=100, help="Stop when a larger share of the answers are failures."),
    ] = 10,
    stop_after: Annotated[int, typer.Option("--stop-after", min=1, help="... once so many have answered.")] = 10,
    stop_count: Annotated[
        int | None, typer.Option("--stop-count", min=0, help="Stop at more failures than this.")
    ] = None,
    group_done: Annotated[
        int,
        typer.Option("--group-done", min=1, max=100, help="Percent of a group's reached terminals to be done first."),
    ] = 90,
    soak: Annotated[
        timedelta | None,
        typer.Option("--soak", parser=orders.span, metavar="TIME", help="Wait so long between groups."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Choose the terminals and begin with the first group; the running platform does the rest."""
    plan = pb.RolloutPlan(
        order=orders.order(action, heartbeat_seconds=heartbeat_seconds, firmware=firmware, url=url, lifetime=lifetime),
        filter=terminal_filter(
            region=region,
            site_id=site_id,
            terminal_class=terminal_class,
            model=model,
            firmware=running,
            issuer=issuer,
            expiring_within=expiring_within,
        ),
        groups=[group.strip() for group in groups.split(",") if group.strip()],
        pace_per_minute=pace,
        failures_percent_max=stop_percent,
        failures_answered_min=stop_after,
        failures_max=stop_count,
        group_done_percent=group_done,
    )
    if soak is not None:
        plan.soak.FromTimedelta(soak)
    with admin(session_of(context)) as api:
        request = pb.StartRolloutRequest(plan=plan, reason=reason, idempotency_key=key)
        started = RolloutServiceStub(api).StartRollout(request).rollout
    _show(started, as_json=as_json, title="Rollout started")


@app.command("show")
def show(
    context: typer.Context,
    *,
    rollout_id: Id,
    members: Annotated[bool, typer.Option("--members", help="Also list its terminals.")] = False,
    state: Annotated[str, typer.Option("--state", help="Only terminals in this state, such as failed.")] = "",
    as_json: Json = False,
) -> None:
    """Show a rollout and how far it has come."""
    with admin(session_of(context)) as api:
        stub = RolloutServiceStub(api)
        found = stub.GetRollout(pb.GetRolloutRequest(rollout_id=rollout_id)).rollout
        listed = _all_members(stub, rollout_id, state) if members or state else []
    if as_json:
        print_json({**_row(found), **({"terminals": listed} if members or state else {})})
        return
    _show(found, as_json=False, title="Rollout")
    if members or state:
        columns = ("place", "group", "terminal_id", "state", "detail")
        show_list("terminals", listed, columns=columns, as_json=False, empty="No such terminal.")


@app.command("list")
def list_rollouts(context: typer.Context, *, as_json: Json = False) -> None:
    """List the newest rollouts, newest first."""
    with admin(session_of(context)) as api:
        found = RolloutServiceStub(api).ListRollouts(pb.ListRolloutsRequest()).rollouts
    columns = ("rollout_id", "action", "state", "group_now", "members", "done", "failed", "state_reason")
    rows = [_row(rollout) for rollout in found]
    show_list("rollouts", rows, columns=columns, as_json=as_json, empty="No rollout yet.")


@app.command("pause")
def pause(context: typer.Context, *, rollout_id: Id, reason: Reason, as_json: Json = False) -> None:
    """Give nobody a command any more, and take back those that were not sent."""
    with admin(session_of(context)) as api:
        request = pb.PauseRolloutRequest(rollout_id=rollout_id, reason=reason)
        decided = RolloutServiceStub(api).PauseRollout(request).rollout
    _show(decided, as_json=as_json, title="Rollout paused")


@app.command("resume")
def resume(context: typer.Context, *, rollout_id: Id, reason: Reason, as_json: Json = False) -> None:
    """Go on after a pause or an error stop; what had failed before the stop is forgiven."""
    with admin(session_of(context)) as api:
        request = pb.ResumeRolloutRequest(rollout_id=rollout_id, reason=reason)
        decided = RolloutServiceStub(api).ResumeRollout(request).rollout
    _show(decided, as_json=as_json, title="Rollout resumed")


@app.command("cancel")
def cancel(context: typer.Context, *, rollout_id: Id, reason: Reason, as_json: Json = False) -> None:
    """End it for good; commands that were sent may still be answered."""
    with admin(session_of(context)) as api:
        request = pb.CancelRolloutRequest(rollout_id=rollout_id, reason=reason)
        decided = RolloutServiceStub(api).CancelRollout(request).rollout
    _show(decided, as_json=as_json, title="Rollout cancelled")


@app.command("watch")
def watch(context: typer.Context, *, rollout_id: Id, as_json: Json = False) -> None:
    """Follow a rollout until it ends or stops; Ctrl-C leaves it running."""
    with admin(session_of(context)) as api:
        stub = RolloutServiceStub(api)

        def look() -> pb.Rollout:
            return stub.GetRollout(pb.GetRolloutRequest(rollout_id=rollout_id)).rollout

        last = _followed(look, as_json=as_json)
    _show(last, as_json=as_json, title="Rollout")


@app.command("forecast")
def forecast(
    context: typer.Context,
    *,
    horizon: Annotated[
        timedelta | None,
        typer.Option("--horizon", parser=orders.span, metavar="TIME", help="Certificates that end so soon; else 7d."),
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=10_000, help="Show at most so many; all count.")] = 100,
    as_json: Json = False,
) -> None:
    """Say which terminals will miss their rotation, why, and how that can be mended."""
    request = pb.ForecastRequest(limit=limit)
    if horizon is not None:
        request.horizon.FromTimedelta(horizon)
    with admin(session_of(context)) as api:
        found = RolloutServiceStub(api).Forecast(request)
    if as_json:
        print_json(shown(found))
        return
    out = console()
    out.print(f"{found.total} terminals will miss their rotation; {found.lapsed} have already.")
    for title, shares in (("Why", found.by_missing), ("Mend", found.by_mend), ("Region", found.by_region)):
        if shares:
            out.print(f"{title}: " + ", ".join(f"{share.name} {share.terminals}" for share in shares))
    columns = (
        "serial_number",
        "region",
        "terminal_class",
        "not_after",
        "last_seen_at",
        "missing",
        "mend",
        "mendable_until",
    )
    rows = [shown(laggard) for laggard in found.laggards]
    if rows:
        show_list("laggards", rows, columns=columns, as_json=False, empty="")


def _all_members(stub: RolloutServiceStub, rollout_id: str, state: str) -> list[dict[str, Any]]:
    name = f"MEMBER_STATE_{state.upper() or 'UNSPECIFIED'}"
    if name not in pb.MemberState.DESCRIPTOR.values_by_name:
        raise typer.BadParameter("one of pending, queued, done, failed, skipped, expired")
    request = pb.ListMembersRequest(rollout_id=rollout_id, state=pb.MemberState.Value(name))
    rows: list[dict[str, Any]] = []
    while True:
        page = stub.ListMembers(request)
        rows += [shown(member) for member in page.members]
        if not page.next_page_token:
            return rows
        request.page_token = page.next_page_token


def _followed(look: Callable[[], pb.Rollout], *, as_json: bool) -> pb.Rollout:
    """Look again and again until nothing changes by itself any more; return how it stands then."""
    with following(as_json=as_json) as tell:
        while True:
            rollout = look()
            tell(rollout)
            if rollout.state in ENDED:
                return rollout
            time.sleep(LOOK_EVERY_SECONDS)


def _show(rollout: pb.Rollout, *, as_json: bool, title: str) -> None:
    show_record(_row(rollout), as_json=as_json, title=title)


def _row(rollout: pb.Rollout) -> dict[str, Any]:
    """Return a rollout as one flat record."""
    fields = shown(rollout)
    plan = fields.pop("plan")
    counts = {count["state"].lower(): count["members"] for count in fields.pop("counts")}
    order = {name: value for name, value in plan.pop("order").items() if value not in {None, ""}}
    chosen = {name: value for name, value in plan.pop("filter").items() if value not in {None, ""}}
    numbers = {state: counts.get(state, 0) for state in ("pending", "queued", "done", "failed", "skipped", "expired")}
    return {"rollout_id": fields.pop("rollout_id"), **order, **fields, **numbers, **plan, "filter": chosen}
