"""How are keys of secrets at rest made and changed? `cohort secrets`, on a data directory, without a server."""

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from libs.cli.errors import Failed
from libs.cli.output import note, say, show_table

if TYPE_CHECKING:  # other commands start faster without what these import
    from libs.storage.environment import Environment
    from libs.storage.master_key import MasterKey

NEW_VARIABLE, NEW_FILE_VARIABLE = "COHORT_NEW_MASTER_KEY", "COHORT_NEW_MASTER_KEY_FILE"

DataDir = Annotated[Path, typer.Option(help="The data directory. Its server must be stopped.")]
KeyFile = Annotated[
    Path | None,
    typer.Option("--master-key-file", metavar="FILE", help="The key of now. [COHORT_MASTER_KEY…]"),
]
NewKeyFile = Annotated[
    Path | None,
    typer.Option(
        "--new-master-key-file", metavar="FILE", help="The key from now on. [COHORT_NEW_MASTER_KEY…]"
    ),
]
Out = Annotated[Path | None, typer.Option(metavar="FILE", help="Write it here, for its owner alone to read.")]

T = TypeVar("T")

app = typer.Typer(
    name="secrets",
    help="Make and change the master key that seals secrets at rest: access tokens, signing secrets, addresses.",
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
def status(data_dir: DataDir = Path("data")) -> None:
    """Show by which master key things at rest are sealed, by the keys' ids.

    Example: cohort secrets status --data-dir data
    """
    from libs.storage import vault

    rows = []
    for environment in _opened(data_dir):
        with environment.read() as txn:
            rows.append([str(environment.folder), vault.sealed_by(environment, txn) or "not sealed yet"])
        environment.close()
    show_table(["at rest", "master key"], rows)


@app.command("rotate")
def rotate(
    data_dir: DataDir = Path("data"),
    master_key_file: KeyFile = None,
    new_master_key_file: NewKeyFile = None,
) -> None:
    """Seal everything by another master key; each part at once or not at all, and again does no harm.

    Data keys are made anew as well, and files are written anew, so that the old key opens nothing that is left.
    Copies made before still need it: keep it as long as those.

    Example: cohort secrets rotate --data-dir data --new-master-key-file new.key
    """
    from libs.storage import master_key
    from services.sync import sealing

    given = _told(lambda: master_key.given(os.environ, master_key_file))
    kept = _told(lambda: master_key.kept(data_dir))
    new = _told(lambda: _new(new_master_key_file))
    known = [key for key in (given, kept) if key is not None]
    for environment in _opened(data_dir):
        try:
            done = _told(partial(sealing.rotate, environment, known, new))
        finally:
            environment.close()
        say(f"{environment.folder}: {'now' if done else 'was already'} sealed by master key {new.key_id}")
    if kept is not None and kept.key_id != new.key_id:
        note(
            f"{data_dir / master_key.FILE_NAME} is not used any more: move it to where keys of old backups are"
        )
    say(f"start servers with this key from now on: {new.source}")


def _new(path: Path | None) -> "MasterKey":
    from libs.storage import master_key

    new = master_key.given(os.environ, path, variable=NEW_VARIABLE, file_variable=NEW_FILE_VARIABLE)
    if new is None:
        raise Failed("give the new key by --new-master-key-file; cohort secrets new-key --out FILE makes one")
    return new


def _opened(data_dir: Path) -> "list[Environment]":
    """Open what is sealed, for its one writer."""
    from services.sync import store

    folders = [data_dir, *sorted((data_dir / "tenants").glob("*"))]
    sealed = [folder for folder in folders if (folder / "sync" / "data.mdb").exists()]
    if not sealed:
        raise Failed(f"{data_dir} holds nothing that is sealed yet")
    return [_told(partial(store.open_environment, folder)) for folder in sealed]


def _told(work: Callable[[], T]) -> T:
    from libs.storage.environment import StorageError

    try:
        return work()
    except StorageError as error:
        raise Failed(str(error)) from error
