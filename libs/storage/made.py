"""Which environments were made in a data directory? A note of each, in a folder beside them all.

A folder that was lost would look like one to begin, and a file put in another's place like that other: answers would
be of nobody, or of somebody else's customers. The note of a folder says what was made in it, under which id; the
environment has the same two in itself. A note that is damaged is written anew: the environment has what it says.
"""

import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import msgspec

from libs.storage.checked import DamagedRecordError, pack, unpack

FOLDER = "made"
ID_BYTES = 8


class Made(msgspec.Struct, frozen=True):
    """An environment: what it is of, its id, which is random, and its folder below the data directory."""

    kind: str
    environment_id: str
    folder: str


def new(kind: str, folder: str) -> Made:
    """Return what is made now."""
    return Made(kind, secrets.token_hex(ID_BYTES), folder)


def note_of(home: Path, folder: Path) -> Path:
    """Return where the note of a folder is, in a data directory."""
    return home / FOLDER / ".".join(folder.relative_to(home).parts)


def encode(made: Made) -> bytes:
    """Write what was made, with a checksum."""
    return pack(msgspec.msgpack.encode(made))


def decode(data: bytes) -> Made:
    """Read what was made. Raises `DamagedRecordError`."""
    try:
        if not data.startswith(pack(b"")[:1]):
            raise DamagedRecordError("a note of what was made")
        return msgspec.msgpack.decode(unpack(data), type=Made)
    except msgspec.DecodeError as error:
        raise DamagedRecordError("a note of what was made") from error


def read(note: Path) -> Made | None:
    """Return what a note says, None where there is none. Raises `DamagedRecordError`."""
    try:
        return decode(note.read_bytes())
    except FileNotFoundError:
        return None


def write(note: Path, made: Made) -> None:
    """Write a note, at once or not at all. Raises OSError."""
    note.parent.mkdir(exist_ok=True)
    part = note.with_name(f".{note.name}.part")
    with part.open("wb") as file:
        file.write(encode(made))
        file.flush()
        os.fsync(file.fileno())
    part.replace(note)
    descriptor = os.open(note.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def notes(home: Path) -> Iterator[Path]:
    """Yield the notes in a data directory."""
    yield from sorted(path for path in (home / FOLDER).glob("*") if not path.name.startswith("."))
