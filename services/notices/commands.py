"""The commands ``geoinfra channel``: the operator sees to the channels of any organisation."""

from __future__ import annotations

from typing import Annotated

import typer

from geoinfra.access import Access, Role
from geoinfra.cli.commands import err, out

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="Channels: how organisations hear of events.")
_OPERATOR = Access("system:cli", None, frozenset({Role.ADMIN}))


@app.command("add")
def add_command(
    context: typer.Context,
    cvr: Annotated[str, typer.Argument(help="CVR number of the organisation.")],
    kind: Annotated[str, typer.Argument(help="mail or webhook.")],
    target: Annotated[str, typer.Argument(help="Mail address, or URL (https).")],
    event: Annotated[list[str] | None, typer.Option(help="An event to tell of; may be repeated.")] = None,
) -> None:
    """Add a channel. The secret of a webhook is shown once."""
    from geoinfra.flows import channels
    from services.settings import Settings

    document = {"kind": kind, "target": target, **({"events": event} if event else {})}
    with context.obj.open() as store:
        added, secret = channels.add_channel(
            store, _OPERATOR, document, Settings().channel_rules, organisation=cvr
        )
    err.print(f"Channel {added.channel.channel_id} tells of {', '.join(added.channel.events)}.")
    if secret:
        err.print("Keep the secret now: it is not shown again.")
        out.print(secret, markup=False, highlight=False)


@app.command("list")
def list_command(
    context: typer.Context, cvr: Annotated[str | None, typer.Argument(help="Only this organisation.")] = None
) -> None:
    """List the channels, without their secrets, and how the newest notice of each fared."""
    from geoinfra.flows import channels

    with context.obj.open() as store:
        found = channels.list_channels(store, _OPERATOR, organisation=cvr, everybody=cvr is None)
    for state in found:
        one, last = state.channel, state.newest
        used = f"disabled {one.disabled_at}" if one.disabled_at else "in use"
        fared = f"{last.state} {last.sent_at or last.error}".strip() if last else "nothing told yet"
        line = f"{one.channel_id}  {one.organisation}  {one.kind}  {one.target}  {used}  {fared}"
        out.print(line, markup=False, highlight=False, soft_wrap=True)


@app.command("remove")
def remove_command(
    context: typer.Context, channel_id: Annotated[str, typer.Argument(help="Id from the list.")]
) -> None:
    """Forget a channel; what still waits for it is not sent."""
    from geoinfra.flows import channels

    with context.obj.open() as store:
        channels.remove_channel(store, _OPERATOR, channel_id)
    out.print(f"Channel {channel_id} is removed.")
