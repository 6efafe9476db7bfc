"""How is a connection encrypted? Certificates and keys from files, read again when they change.

A server looks at its files at each new connection: no restart, and connections that are open go on. While what is
there cannot be used, as when a certificate was replaced and its key not yet, it goes on with what it had.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import grpc
import structlog
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

log = structlog.get_logger()

T = TypeVar("T")

Signature = tuple[tuple[int, int, int], ...]
"""Of each file what changes with its content: inode, size, time of change in ns."""


class TlsError(Exception):
    """Files that cannot be used. The message names them, and holds nothing of a key."""


@dataclass(frozen=True, slots=True)
class ServerTls:
    """The PEM files of a server: its chain of certificates, its key, and who may call.

    With `client_ca` callers must show a certificate that one of these authorities has signed; without, none is asked.
    """

    cert: Path
    key: Path
    client_ca: Path | None = None

    def credentials(self) -> grpc.ServerCredentials:
        """Return what a port is opened with. Raises `TlsError`."""
        reader = _Reader(self)
        changed: Any = reader.changed  # the stubs do not know that it may return None
        return grpc.dynamic_ssl_server_credentials(
            reader.configuration(), changed, require_client_authentication=self.client_ca is not None
        )

    def files(self) -> tuple[Path, ...]:
        """Return the files."""
        return (self.cert, self.key, *([self.client_ca] if self.client_ca else []))


@dataclass(frozen=True, slots=True)
class ClientTls:
    """The PEM files of a client: whom it trusts (None: the system's authorities), and its own for mutual TLS."""

    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None

    def credentials(self) -> grpc.ChannelCredentials:
        """Return what a channel is opened with. Raises `TlsError`."""
        if (self.cert is None) != (self.key is None):
            raise TlsError("a client's certificate and its key go together: give both, or neither")
        cert, key = (_read(self.cert), _read(self.key)) if self.cert and self.key else (None, None)
        if cert and key:
            _check_pair(cert, key, f"{self.cert} and {self.key}")
        return grpc.ssl_channel_credentials(_authorities(self.ca) if self.ca else None, key, cert)


@dataclass(slots=True)
class _Reader:
    """Reads a server's files, and says whether they have changed."""

    tls: ServerTls
    signature: Signature = field(default=())

    def configuration(self) -> grpc.ServerCertificateConfiguration:
        """Read the files. Raises `TlsError`."""
        signature = _signature(self.tls.files())
        cert, key = _read(self.tls.cert), _read(self.tls.key)
        _check_pair(cert, key, f"{self.tls.cert} and {self.tls.key}")
        ca = _authorities(self.tls.client_ca) if self.tls.client_ca else None
        self.signature = signature
        return grpc.ssl_server_certificate_configuration([(key, cert)], root_certificates=ca)

    def changed(self) -> grpc.ServerCertificateConfiguration | None:
        """Return what is new since the last time, None where nothing is or it cannot be used. From any thread."""
        try:
            if _signature(self.tls.files()) == self.signature:
                return None
            configuration = self.configuration()
        except TlsError as error:
            log.warning("new TLS files cannot be used, the old ones go on", why=str(error))
            return None
        log.info("TLS files read anew")
        return configuration


def _signature(files: tuple[Path, ...]) -> Signature:
    found = []
    for file in files:
        try:
            found.append(file.stat())
        except OSError as error:
            raise TlsError(f"{file} cannot be read: {error.strerror}") from None
    return tuple((each.st_ino, each.st_size, each.st_mtime_ns) for each in found)


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise TlsError(f"{file} cannot be read: {error.strerror}") from None


def _authorities(file: Path) -> bytes:
    found = _read(file)
    _parsed(lambda: x509.load_pem_x509_certificates(found), f"{file} holds no certificates in PEM")
    return found


def _check_pair(cert: bytes, key: bytes, files: str) -> None:
    def pair() -> tuple[bytes, bytes]:
        form = Encoding.DER, PublicFormat.SubjectPublicKeyInfo
        chain = x509.load_pem_x509_certificates(cert)
        private = load_pem_private_key(key, None)
        return chain[0].public_key().public_bytes(*form), private.public_key().public_bytes(*form)

    mine, belongs = _parsed(pair, f"{files} are no certificate and key in PEM, the key without a password")
    if mine != belongs:
        raise TlsError(f"{files} do not belong together")


def _parsed(parse: Callable[[], T], otherwise: str) -> T:
    try:
        return parse()
    except (ValueError, TypeError, IndexError):
        raise TlsError(otherwise) from None
