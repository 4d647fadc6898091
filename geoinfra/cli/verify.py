"""Commands on finished packages: verify one, compare two, and the keys that sign them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final
from urllib.parse import urlsplit

import orjson
import typer

from geoinfra.access import Access, Role
from geoinfra.cli.commands import StoreAddress, app, out, utilities
from geoinfra.errors import GeoinfraError, InvalidInput

if TYPE_CHECKING:
    from geoinfra.utilities.differences import Change, Differences
    from geoinfra.utilities.formats.package_seal import Verification
    from geoinfra.utilities.signatures import PublicKey

__all__ = ["diff_command", "key_app", "verify_command"]

WELL_KNOWN: Final = "/.well-known/geoinfra-keys.json"
_MOST_BYTES = 256 * 1024
_PATIENCE_S = 15
_LOOPBACK = ("127.0.0.1", "localhost", "::1")

key_app = typer.Typer(no_args_is_help=True, help="The keys that sign packages.")
app.add_typer(key_app, name="key")


@app.command("verify")
def verify_command(
    context: typer.Context,
    package: Annotated[
        Path, typer.Argument(exists=True, help="Package: zip, or the folder it is unpacked in.")
    ],
    key: Annotated[
        Path | None,
        typer.Option("--key", exists=True, dir_okay=False, help="Public keys: JSON Web Key Set or PEM."),
    ] = None,
    server: Annotated[
        str | None, typer.Option("--server", help="Address of the service whose keys count.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the outcome as JSON.")] = False,
) -> None:
    """Check that a package is as it was signed, to the last byte; exit 1 when it is not.

    Without --key and --server the keys of the store count. With --key nothing is asked of any network.
    """
    from geoinfra.utilities.formats.package_seal import verify_package

    if key is not None and server is not None:
        raise typer.BadParameter("give --key or --server, not both", param_hint="--server")
    done = verify_package(package, _keys(context.obj, key, server))
    if as_json:
        typer.echo(orjson.dumps(done.to_json(), option=orjson.OPT_INDENT_2))
    else:
        _tell(done)
    if not done.valid:
        raise typer.Exit(1)


def _keys(address: StoreAddress | None, key: Path | None, server: str | None) -> tuple[PublicKey, ...]:
    from geoinfra.flows.signing import public_keys
    from geoinfra.utilities.signatures import read_keys

    if key is not None:
        with key.open("rb") as file:
            return read_keys(file.read(_MOST_BYTES + 1))
    if server is not None:
        return read_keys(_fetched(server))
    if address is None or not (address.database_url or _has_store(address.data_dir)):
        return ()
    with address.open() as store:
        return public_keys(store)


def _has_store(folder: Path | None) -> bool:
    return folder is not None and (folder / "records.sqlite").exists()


def _fetched(server: str) -> bytes:
    """Fetch the document of keys; https, or http on this machine."""
    parts = urlsplit(server)
    local = parts.scheme == "http" and parts.hostname in _LOOPBACK
    if not parts.hostname or parts.username or parts.query or parts.fragment:
        raise typer.BadParameter("give an address like https://ledninger.example.dk", param_hint="--server")
    if parts.scheme != "https" and not local:
        raise typer.BadParameter("keys are fetched by https only", param_hint="--server")
    return _answer(f"{server.rstrip('/')}{WELL_KNOWN}")


def _answer(address: str) -> bytes:
    """Return what a server answers; one that sends to another server does not speak for it."""
    import urllib.error
    import urllib.request
    from http.client import HTTPException

    class NoRedirect(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, *_args: Any, **_named: Any) -> None:
            return None

    try:
        with urllib.request.build_opener(NoRedirect).open(address, timeout=_PATIENCE_S) as answer:
            return bytes(answer.read(_MOST_BYTES + 1))
    except urllib.error.HTTPError as error:
        error.close()
        raise GeoinfraError(f"{address} answers {error.code}.", hint="Is that the service?") from None
    except (urllib.error.URLError, HTTPException, OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise GeoinfraError(
            f"The keys cannot be fetched from {address}: {reason}.",
            hint="Offline: export the keys once with geoinfra key export, and give them with --key.",
        ) from None


def _tell(done: Verification) -> None:
    for finding in done.report.findings:
        place = f" {finding.path}:" if finding.path else ""
        typer.echo(_plain(f"{finding.severity}{place} {finding.message}"), err=True)
    if not done.valid:
        typer.echo("The package is NOT valid. Do not dig by it.", err=True)
        return
    told = done.manifest or {}
    typer.echo(
        f"Valid: package {told.get('sequence', '')} of {told.get('number', '')}, "
        f"{done.report.features} files, signed with key {done.key_id} ({done.key_state})."
    )
    if missing := told.get("missing"):
        typer.echo(f"It is not complete; owners who have not answered: {', '.join(missing)}.")


@utilities.command("diff")
def diff_command(
    before: Annotated[Path, typer.Argument(exists=True, help="LER answer, package or table.")],
    after: Annotated[Path, typer.Argument(exists=True, help="The same at a later time.")],
    owner: Annotated[str | None, typer.Option("--owner", help="CVR number: only this owner.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the differences as JSON.")] = False,
) -> None:
    """Tell which lines were added, removed and changed between two files; exit 1 when any were."""
    from geoinfra.flows.differences import file_differences
    from geoinfra.utilities.model import require_cvr

    if owner is not None:
        try:
            require_cvr(owner)
        except InvalidInput as error:
            raise typer.BadParameter(error.message, param_hint="--owner") from error
    found = file_differences(before, after, owner_cvr=owner)
    if as_json:
        typer.echo(orjson.dumps(found.to_json(), option=orjson.OPT_INDENT_2))
    else:
        _tell_differences(found)
    if not found.none:
        raise typer.Exit(1)


def _plain(text: str) -> str:
    """Return a text that cannot steer a terminal; names in it come from strangers."""
    return "".join(letter if letter.isprintable() else "�" for letter in text)


def _tell_differences(found: Differences) -> None:
    for sign, changes in (("-", found.removed), ("~", found.changed), ("+", found.added)):
        for one in changes:
            typer.echo(_plain(f"{sign} {one.feature_class} {one.feature_id}{_how(one)}"))
    typer.echo(
        f"{len(found.added)} added, {len(found.removed)} removed, {len(found.changed)} changed, "
        f"{found.unchanged} as before."
    )


def _how(one: Change) -> str:
    """Say what changed of a feature."""
    said = [] if one.moved_m is None else [f"moved {one.moved_m} m"]
    if one.moved_m is None and one.reshaped:
        said.append("another geometry")
    if one.raised_m is not None:
        said.append(f"height changed {one.raised_m} m")
    said += [f"{name}: {_short(a)} -> {_short(b)}" for name, (a, b) in one.attributes.items()]
    return f": {', '.join(said)}" if said else ""


def _short(value: Any) -> str:
    text = "nothing" if value is None else orjson.dumps(value).decode()
    return text if len(text) <= 80 else f"{text[:77]}..."


@key_app.command("rotate")
def rotate_command(context: typer.Context) -> None:
    """Make a new key that signs from now on; what the present one has signed can still be verified."""
    from geoinfra.flows.signing import rotate_key

    with context.obj.open() as store:
        made = rotate_key(store)
        operator = Access("system:cli", None, frozenset({Role.ADMIN}))
        store.audit.append("key.rotated", operator, made.key_id, {})
    out.print(f"Packages are signed with key {made.key_id} from now on.", highlight=False)


@key_app.command("list")
def list_command(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Print the keys as JSON.")] = False,
) -> None:
    """List the keys, the one that signs now first."""
    from geoinfra.flows.signing import ensure_key, public_keys
    from geoinfra.utilities.signatures import keys_document

    with context.obj.open() as store:
        ensure_key(store)
        keys = public_keys(store)
    if as_json:
        typer.echo(orjson.dumps(keys_document(keys), option=orjson.OPT_INDENT_2))
        return
    for one in keys:
        state = f"retired {one.retired_at}" if one.retired_at else "signs"
        typer.echo(f"{one.key_id}  made {one.created_at}  {state}")


@key_app.command("export")
def export_command(
    context: typer.Context,
    target: Annotated[
        Path | None, typer.Argument(dir_okay=False, help="File to write; standard output without it.")
    ] = None,
) -> None:
    """Write the public keys as a JSON Web Key Set, for verify --key; private keys never leave the store."""
    from geoinfra.flows.signing import ensure_key, public_keys
    from geoinfra.utilities.signatures import keys_document

    with context.obj.open() as store:
        ensure_key(store)
        document = orjson.dumps(keys_document(public_keys(store)), option=orjson.OPT_INDENT_2)
    if target is None:
        typer.echo(document)
        return
    try:
        target.write_bytes(document + b"\n")
    except OSError as error:
        raise InvalidInput(f"The keys cannot be written to {target}: {error.strerror}.") from error
