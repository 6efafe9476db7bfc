"""Which key opens what is sealed at rest? One master key of 32 random bytes, named by an id that is not secret.

It comes from whoever starts the server (COHORT_MASTER_KEY, COHORT_MASTER_KEY_FILE, --master-key-file). Where nobody
gives one, one is made in the data directory, `master.key`, readable by its owner alone: that protects copies of the
data that leave the file out, and nothing else. Neighbours: `libs.storage.vault` seals by it.
"""

import base64
import binascii
import hashlib
import os
import secrets
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from libs.storage.failures import StorageError

KEY_BYTES = 32
ID_BYTES = 4
FILE_NAME = "master.key"
MOST_FILE_BYTES = 1024
"""A key is 44 bytes of base64 or 64 of hexadecimal, and perhaps the end of a line."""
VARIABLE, FILE_VARIABLE = "COHORT_MASTER_KEY", "COHORT_MASTER_KEY_FILE"

log = structlog.get_logger()


class KeyFault(StorageError):
    """A master key that is missing, is not the right one, or is no key. The message is for who starts the server."""


@dataclass(frozen=True, slots=True)
class MasterKey:
    """A master key; `source` says where it came from, for messages."""

    secret: bytes = field(repr=False)
    source: str

    @property
    def key_id(self) -> str:
        """Names the key: 8 hexadecimal digits, which tell nothing of it."""
        return hashlib.sha256(b"cohort master key\0" + self.secret).digest()[:ID_BYTES].hex()


@dataclass(frozen=True, slots=True)
class Masters:
    """Where the master key of a data directory is found: the one that is `given`, or the one kept there."""

    data_dir: Path
    given: MasterKey | None = None

    def present(self) -> MasterKey | None:
        """Return the key there is. Raises `KeyFault`."""
        return self.given or kept(self.data_dir)

    def ensure(self) -> MasterKey:
        """Return the key for what was never sealed: made where there is none. Raises `KeyFault`."""
        return self.given or make(self.data_dir)


def new_key() -> str:
    """Make a master key, as text: 32 random bytes in base64."""
    return base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()


def parse(text: str, source: str) -> MasterKey:
    """Read a key: 32 bytes in base64 (either alphabet) or hexadecimal. Raises `KeyFault`, which shows none of it."""
    bare = text.strip()
    for decode in (bytes.fromhex, base64.b64decode, base64.urlsafe_b64decode):
        try:
            secret = decode(bare) if decode is bytes.fromhex else decode(bare + "=" * (-len(bare) % 4))
        except (ValueError, binascii.Error):
            continue
        if len(secret) == KEY_BYTES:
            return MasterKey(secret, source)
    raise KeyFault(
        f"{source} holds no master key: it is {KEY_BYTES} random bytes in base64 or hexadecimal, as "
        f"`cohort secrets new-key` prints"
    )


def read_file(path: Path) -> MasterKey:
    """Read a key from a file. Raises `KeyFault`."""
    try:
        with path.open("rb") as file:
            data = file.read(MOST_FILE_BYTES + 1)
            mode = os.fstat(file.fileno()).st_mode
    except OSError as error:
        raise KeyFault(f"the master key cannot be read from {path}: {error.strerror}") from error
    if mode & stat.S_IROTH:
        log.warning("master key readable by everybody", path=str(path), advice="chmod 600")
    if len(data) > MOST_FILE_BYTES:
        raise KeyFault(f"{path} is too long for a master key")
    return parse(data.decode("ascii", "replace"), str(path))


def given(
    environment: Mapping[str, str],
    path: Path | None,
    *,
    variable: str = VARIABLE,
    file_variable: str = FILE_VARIABLE,
) -> MasterKey | None:
    """Return the key that is given: `path`, else one of the variables, else None. Raises `KeyFault`."""
    text, file = environment.get(variable, ""), environment.get(file_variable, "")
    if path is None and text and file:
        raise KeyFault(f"both {variable} and {file_variable} are set; set one")
    if path or file:
        return read_file(path or Path(file))
    return parse(text, variable) if text else None


def kept(data_dir: Path) -> MasterKey | None:
    """Return the key that was made in a data directory, if one was. Raises `KeyFault`."""
    path = data_dir / FILE_NAME
    return read_file(path) if path.exists() else None


def make(data_dir: Path) -> MasterKey:
    """Return the key kept in a data directory, made where there is none; two processes make one."""
    path = data_dir / FILE_NAME
    if not path.exists():
        data_dir.mkdir(parents=True, exist_ok=True)
        if write_new(path):
            log.warning(
                "master key made",
                path=str(path),
                advice="secrets are sealed by a key beside them: leave it out of backups, or set "
                f"{FILE_VARIABLE}, see docs/operations.md",
            )
    return read_file(path)


def write_new(path: Path) -> bool:
    """Write a new key to a file of its owner's alone. False, and nothing written, where the file is there."""
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with open(descriptor, "w", encoding="ascii") as file:
            file.write(new_key() + "\n")
            file.flush()
            os.fsync(file.fileno())
        os.link(part, path)  # whole, or not at all
    except FileExistsError:
        return False
    finally:
        part.unlink()
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return True
