"""The commands ``geoinfra sandbox``: test environments with a fictitious town, and their beginning anew."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

from geoinfra.cli.commands import err, out

__all__ = ["TOKENS", "app"]

TOKENS: Final = "sandbox-tokens.json"

app = typer.Typer(no_args_is_help=True, help="Test environments: nothing in them is real.")


@app.command("create")
def create_command(
    folder: Annotated[Path, typer.Argument(help="Folder of the new store; its own, and empty.")],
    size: Annotated[str, typer.Option(help="Size of the town: tiny, demo or dense.")] = "demo",
) -> None:
    """Make a test environment: an invented town with owners, areas and lines, and a token for each role."""
    from geoinfra.errors import Conflict
    from geoinfra.flows import sandbox
    from geoinfra.storage import open_store
    from services.demo import ensure_tokens, load_once
    from services.settings import Settings

    settings = Settings(data_dir=folder)
    store = open_store(settings.data_dir, settings.database())
    try:
        sandbox.declare_sandbox(store)
        if sandbox.has_kept_state(store):
            raise Conflict(
                "This is a test environment already.",
                hint=f"Begin anew with: geoinfra --data-dir {folder} sandbox reset",
            )
        load_once(store, size)
        ensure_tokens(store, folder / TOKENS)
        sandbox.keep_state(store)
    finally:
        store.close()
    err.print(f"The tokens are in {folder / TOKENS}. Run it:", markup=False, highlight=False)
    err.print(f"  geoinfra --data-dir {folder} serve", markup=False, highlight=False, soft_wrap=True)
    err.print(f"  geoinfra --data-dir {folder} worker", markup=False, highlight=False, soft_wrap=True)
    out.print(f"Test environment made in {folder}.", markup=False, highlight=False, soft_wrap=True)


@app.command("keep")
def keep_command(context: typer.Context) -> None:
    """Make the present owners, areas, tokens, lines and layers the state that a reset restores."""
    from geoinfra.flows import sandbox

    with context.obj.open() as store:
        sandbox.keep_state(store)
    out.print("The present state is the initial one from now on.")


@app.command("reset")
def reset_command(context: typer.Context) -> None:
    """Restore the initial state, also beside a running server; all that came since is gone."""
    from geoinfra.flows import sandbox

    with context.obj.open() as store:
        lost = sandbox.reset(store)
    gone = ", ".join(f"{count:,} {name}" for name, count in sorted(lost.items())) or "nothing"
    out.print(f"The initial state is restored; gone: {gone}.", markup=False, highlight=False, soft_wrap=True)
