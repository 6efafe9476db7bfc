"""How is a data directory copied while a server writes to it, and brought back? `cohort backup`, `cohort restore`.

A backup holds each LMDB environment as it was at one commit (LMDB copies from a read transaction), and, written last,
a list of them with their checksums: without it, it is no backup. Files that the log gives again are left out.
"""

import json
import os
import shutil
import threading
import time
from pathlib import Path
from typing import Annotated, Any

import lmdb
import typer
import xxhash

from libs.cli.errors import Failed
from libs.cli.meter import Meter
from libs.cli.output import count, note, say
from libs.cli.parts import DATA, Part, keep_private, missing_from, parts_of
from libs.cli.status import size
from libs.cli.verify import find_damage
from libs.errors import Corrupt
from libs.events.renewal import renew_identity
from libs.storage.arrays import sync_folder
from libs.storage.directory import Directory
from libs.storage.environment import MAP_BYTES
from libs.storage.failures import StorageError
from libs.storage.projects import log_folder

LIST = "backup.json"
FORMAT = 1
MASTER_KEY = "master.key"
RESTORING = ".restoring"
ORDER = ("sync", "cohort", "log", "projects")
"""What refers to another comes first: a cohort of a copied sync is then in the later copy of the cohorts."""
POLL_SECONDS = 0.2
CHUNK_BYTES = 1 << 20

DataDir = Annotated[Path, typer.Option("--data-dir", help="The data directory.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("backup")(backup)
    app.command("restore")(restore)


def backup(
    target: Annotated[Path, typer.Argument(help="A folder that does not exist yet, or is empty.")],
    data_dir: DataDir = Path("data"),
    master_key: Annotated[
        bool,
        typer.Option(
            "--with-master-key", help="Copy the key of the secrets as well: who has both can read them."
        ),
    ] = False,
) -> None:
    """Copy a data directory, while servers write to it if need be. Each part is as it was at one commit.

    Example: cohort backup --data-dir data backups/monday
    """
    keep_private()
    parts = sorted(parts_of(data_dir), key=lambda part: ORDER.index(part.kind))
    for path in missing_from(data_dir):
        raise Failed(f"{path} is not there, and was made here: a copy would lack it. cohort verify says more")
    _need_empty(target)
    if target.resolve().is_relative_to(data_dir.resolve()):
        raise Failed(f"{target} is in the data directory itself; name a folder elsewhere")
    target.mkdir(parents=True, exist_ok=True)
    listed = []
    with Meter(sum(part.data.stat().st_blocks * 512 for part in parts)) as meter:
        for part in parts:
            name = part.folder.relative_to(data_dir)
            meter.at(str(name))
            (target / name).mkdir(parents=True)
            _copy_environment(part, target / name, meter)
            listed.append(_listed(target, name / DATA))
    kept = (data_dir / MASTER_KEY).exists()
    if kept and master_key:
        _copy(data_dir / MASTER_KEY, target / MASTER_KEY, None)
        listed.append(_listed(target, Path(MASTER_KEY)))
    written = target / (LIST + ".new")
    written.write_text(
        json.dumps(
            {"format": FORMAT, "time": int(time.time() * 1000), "files": listed, "xxh3": _of_list(listed)},
            indent=1,
        )
    )
    _to_disk(written)
    written.replace(target / LIST)
    sync_folder(target)
    if kept and not master_key:
        note(
            f"{data_dir / MASTER_KEY} is not in the backup: keep it elsewhere, what it seals cannot be read without"
        )
    total = sum(each["bytes"] for each in listed)
    say(f"backed up to {target}: {count(len(listed), 'file')}, {size(total)}")


def restore(
    source: Annotated[Path, typer.Argument(help="A folder that `cohort backup` has made.")],
    data_dir: DataDir = Path("data"),
) -> None:
    """Make a data directory of a backup. It must not exist yet, or be empty; nothing is written over.

    The backup is checked against its list, and what comes of it as `cohort verify` does. Files that the log gives
    are made at the first start. The log gets a new id: revisions and pages from before are refused, not confused.

    Example: cohort restore backups/monday --data-dir data
    """
    keep_private()
    files = _read_list(source)
    _need_empty(data_dir)
    making = data_dir.with_name(data_dir.name + RESTORING)
    shutil.rmtree(making, ignore_errors=True)
    try:
        with Meter(2 * sum(each["bytes"] for each in files)) as meter:
            for each in files:
                meter.at(each["path"])
                if _digest(source / each["path"], meter) != each["xxh3"]:
                    raise Failed(f"{source / each['path']} is not what was backed up; use another backup")
                (making / each["path"]).parent.mkdir(parents=True, exist_ok=True)
                _copy(source / each["path"], making / each["path"], meter)
        _need_whole(making)
        found = find_damage(making)
        if found.damage:
            raise Failed(f"the backup holds damage: {found.damage[0]['what']}; use another backup")
        for part in parts_of(making):
            if part.kind == "log":
                renew_identity(part.folder)
        if data_dir.exists():
            data_dir.rmdir()
        making.replace(data_dir)
        sync_folder(data_dir.parent)
    except OSError as error:
        raise Failed(f"cannot restore to {data_dir}: {error}") from error
    finally:
        shutil.rmtree(making, ignore_errors=True)
    for told in found.notes:
        note(told.replace(str(making), str(data_dir)))
    key = f", with that master key: --master-key-file, or {data_dir / MASTER_KEY}" if found.notes else ""
    say(f"restored {source} to {data_dir}; start the server{key}")


def _need_whole(making: Path) -> None:
    """Raise `Failed` where the projects of a backup, or the log of one of them, are not in it."""
    kinds = {part.kind for part in parts_of(making)}
    if "projects" not in kinds:
        raise Failed("the backup lacks its projects; use another backup")
    directory = Directory(making, writable=False)
    try:
        ids = list(directory.contents().projects)
    except (StorageError, Corrupt) as error:
        raise Failed(f"the backup holds damage: {error}; use another backup") from error
    finally:
        directory.close()
    for project_id in ids:
        if not (log_folder(making, project_id) / DATA).exists():
            raise Failed(f"the backup lacks the event log of project {project_id}; use another backup")


def _need_empty(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise Failed(f"{folder} is a file; nothing was changed. Name a folder that does not exist yet")
    if folder.exists() and any(folder.iterdir()):
        raise Failed(f"{folder} is not empty; nothing was changed. Name a folder that does not exist yet")


def _copy_environment(part: Part, target: Path, meter: Meter) -> None:
    """Copy an environment as it is at one commit, without its free pages."""
    failed: list[Exception] = []

    def copy() -> None:
        try:
            options: dict[str, Any] = {"readonly": True, "create": False, "max_dbs": 0, "map_size": MAP_BYTES}
            with lmdb.open(os.fspath(part.folder), **options) as environment:
                environment.copy(os.fspath(target), compact=True)
        except Exception as error:
            failed.append(error)

    thread = threading.Thread(target=copy, daemon=True)
    thread.start()
    copied = 0
    while thread.is_alive():
        thread.join(POLL_SECONDS)
        now = (target / DATA).stat().st_size if (target / DATA).exists() else 0
        meter.add(max(0, now - copied))
        copied = max(copied, now)
    if failed:
        raise Failed(f"copying {part.folder} failed: {failed[0]}; the backup in {target} is not complete")
    _to_disk(target / DATA)
    sync_folder(target)


def _copy(source: Path, target: Path, meter: Meter | None) -> None:
    with source.open("rb") as reading, target.open("wb") as writing:
        os.fchmod(writing.fileno(), source.stat().st_mode & 0o777)
        while piece := reading.read(CHUNK_BYTES):
            writing.write(piece)
            if meter:
                meter.add(len(piece))
    _to_disk(target)


def _to_disk(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def _listed(folder: Path, name: Path) -> dict[str, Any]:
    path = folder / name
    return {"path": str(name), "bytes": path.stat().st_size, "xxh3": _digest(path, None)}


def _of_list(files: list[dict[str, Any]]) -> str:
    """Hash the list of files, so that one that lost a file is known."""
    return xxhash.xxh3_128_hexdigest(json.dumps(files, sort_keys=True).encode())


def _digest(path: Path, meter: Meter | None) -> str:
    digest = xxhash.xxh3_128()
    try:
        with path.open("rb") as file:
            while piece := file.read(CHUNK_BYTES):
                digest.update(piece)
                if meter:
                    meter.add(len(piece))
    except OSError as error:
        raise Failed(f"{path} cannot be read: {error.strerror}") from error
    return digest.hexdigest()


def _read_list(source: Path) -> list[dict[str, Any]]:
    try:
        listed = json.loads((source / LIST).read_text())
        files: list[dict[str, Any]] = listed["files"]
        known = int(listed["format"])
        paths = [Path(each["path"]) for each in files]
        if listed.get("xxh3", _of_list(files)) != _of_list(files):
            raise ValueError
        sum(int(each["bytes"]) for each in files)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise Failed(
            f"{source} is no whole backup: {LIST}, which is written last, is not there or unreadable"
        ) from None
    if known > FORMAT:
        raise Failed(f"{source} was made by a newer version of Cohort; upgrade Cohort")
    for path in paths:
        if path.is_absolute() or ".." in path.parts:
            raise Failed(f"{source / LIST} names {path}, which is outside of the backup")
    return files
