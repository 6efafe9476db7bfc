"""How are keys of secrets at rest made and changed? `cohort secrets`, on a data directory, without a server."""

import json
import os
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from libs.cli.errors import Failed
from libs.cli.options import Json, MasterKeyFile
from libs.cli.output import note, say, show_table
from libs.cli.parts import Part, parts_of

if TYPE_CHECKING:  # other commands start faster without what these import
    from libs.storage.environment import Environment
    from libs.storage.master_key import MasterKey

NEW_VARIABLE, NEW_FILE_VARIABLE = "COHORT_NEW_MASTER_KEY", "COHORT_NEW_MASTER_KEY_FILE"

DataDir = Annotated[Path, typer.Option(help="The data directory.")]
StoppedDataDir = Annotated[Path, typer.Option(help="The data directory. Its servers must be stopped.")]
NewMasterKeyFile = Annotated[
    Path | None,
    typer.Option(
        "--new-master-key-file", metavar="FILE", help="The key from now on. [COHORT_NEW_MASTER_KEY…]"
    ),
]
Out = Annotated[Path | None, typer.Option(metavar="FILE", help="Write it here, for its owner alone to read.")]

WHAT = {"log": "profiles, string values", "sync": "secrets, match keys"}
"""What is sealed of a part, by its kind."""

T = TypeVar("T")

app = typer.Typer(
    name="secrets",
    help="Make and change the master key of what is sealed at rest: access tokens, signing secrets, addresses, what "
    "syncs keep of profiles, and profiles where servers run with --encrypt-profiles.",
    no_args_is_help=True,
)


@app.command("new-key")
def new_key(out: Out = None) -> None:
    """Make a master key: 32 random bytes, in base64. Printed, or written to a file.

    Example: cohort secrets new-key --out /etc/cohort/master.key
    """
    from libs.storage import master_key

    if out is None:
        say(master_key.new_key())
        return
    try:
        written = master_key.write_new(out)
    except OSError as error:
        raise Failed(f"{out} cannot be written: {error.strerror}") from error
    if not written:
        raise Failed(f"{out} is there already; a key that is in use must not be lost, so it stays as it is")
    say(f"wrote master key {master_key.read_file(out).key_id} to {out}")


@app.command("status")
def status(data_dir: DataDir = Path("data"), as_json: Json = False) -> None:
    """Show what is sealed at rest and by which master key, by the keys' ids. Servers may run.

    Example: cohort secrets status --data-dir data
    """
    from libs.storage import vault

    rows = []
    for part in _sealable(data_dir):
        environment = _told(partial(_open, data_dir, part, readonly=True))
        with environment.read() as txn:
            sealed_by = vault.sealed_by(environment, txn)
        environment.close()
        rows.append((str(part.folder), WHAT[part.kind], sealed_by))
    if as_json:
        listed = [dict(zip(("path", "what", "masterKey"), row, strict=True)) for row in rows]
        sys.stdout.write(json.dumps({"atRest": listed}) + "\n")
        return
    show_table(
        ["at rest", "what", "master key"], [[path, what, key or "not sealed"] for path, what, key in rows]
    )


@app.command("rotate")
def rotate(
    data_dir: StoppedDataDir = Path("data"),
    master_key_file: MasterKeyFile = None,
    new_master_key_file: NewMasterKeyFile = None,
) -> None:
    """Seal everything by another master key; each part at once or not at all, and again does no harm.

    Data keys are made anew as well, and files are written anew or overwritten, so that the old key opens nothing that
    is left. Copies made before still need it: keep it as long as those.

    Example: cohort secrets rotate --data-dir data --new-master-key-file new.key
    """
    from libs.storage import master_key

    given = _told(lambda: master_key.given(os.environ, master_key_file))
    kept = _told(lambda: master_key.kept(data_dir))
    new = _told(lambda: _new(new_master_key_file))
    known = [key for key in (given, kept) if key is not None]
    for part in _sealable(data_dir):
        say(f"{part.folder}: {_told(partial(_rotate, data_dir, part, known, new))}")
    if kept is not None and kept.key_id != new.key_id:
        note(
            f"{data_dir / master_key.FILE_NAME} is not used any more: move it to where keys of old backups are"
        )
    say(f"start servers with this key from now on: {new.source}")


def _rotate(data_dir: Path, part: Part, known: "Sequence[MasterKey]", new: "MasterKey") -> str:
    """Seal a part by another key, and say what became of it."""
    from libs.events import sealing as logs
    from libs.storage import vault
    from services.sync import sealing as syncs

    environment = _open(data_dir, part)
    try:
        with environment.read() as txn:
            sealed_by = vault.sealed_by(environment, txn)
        if part.kind == "log" and sealed_by is None:
            return "not sealed, and left so"
        done = (logs if part.kind == "log" else syncs).rotate(environment, known, new)
        return f"{'now' if done else 'was already'} sealed by master key {new.key_id}"
    finally:
        environment.close()


def _new(path: Path | None) -> "MasterKey":
    from libs.storage import master_key

    new = master_key.given(os.environ, path, variable=NEW_VARIABLE, file_variable=NEW_FILE_VARIABLE)
    if new is None:
        raise Failed("give the new key by --new-master-key-file; cohort secrets new-key --out FILE makes one")
    return new


def _sealable(data_dir: Path) -> list[Part]:
    """Return the parts that hold something sealed, or may."""
    return [part for part in parts_of(data_dir) if part.kind in WHAT]


def _open(data_dir: Path, part: Part, *, readonly: bool = False) -> "Environment":
    from libs.events import log
    from services.sync import store

    if part.kind == "log":
        return log.open_environment(part.folder, readonly=readonly, home=data_dir)
    return store.open_environment(part.folder.parent, readonly=readonly, home=data_dir)


def _told(work: Callable[[], T]) -> T:
    from libs.errors import Fault
    from libs.storage.failures import StorageError

    try:
        return work()
    except (StorageError, Fault) as error:
        raise Failed(str(error)) from error
