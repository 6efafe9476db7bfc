"""TLS files are checked before they are used, and what is wrong is said of them by name."""

from pathlib import Path

import pytest

from libs.rpc.tls import ClientTls, ServerTls, TlsError
from tests.fakes.certificates import Authority


@pytest.fixture
def ours(tmp_path: Path) -> Authority:
    return Authority(tmp_path, "ours")


def test_files_that_belong_together_open_a_port_and_a_channel(ours: Authority) -> None:
    cert, key = ours.issue("server")
    assert ServerTls(cert, key, ours.file).credentials()
    assert ClientTls(ours.file, cert, key).credentials()
    assert ClientTls().credentials()


def test_a_server_says_which_files_it_cannot_use(tmp_path: Path, ours: Authority) -> None:
    cert, key = ours.issue("server")
    other, _ = ours.issue("other")
    junk = tmp_path / "junk.pem"
    junk.write_text("junk")
    for files, said in (
        ((tmp_path / "none", key), "cannot be read"),
        ((cert, tmp_path / "none"), "cannot be read"),
        ((other, key), "do not belong together"),
        ((cert, junk), "no certificate and key in PEM"),
        ((junk, key), "no certificate and key in PEM"),
        ((cert, key, junk), "no certificates in PEM"),
    ):
        with pytest.raises(TlsError, match=said) as refused:
            ServerTls(*files).credentials()
        assert "PRIVATE" not in str(refused.value)


def test_a_clients_certificate_and_key_go_together(ours: Authority) -> None:
    cert, key = ours.issue("client")
    for half in (ClientTls(ours.file, cert), ClientTls(ours.file, None, key)):
        with pytest.raises(TlsError, match="go together"):
            half.credentials()
    with pytest.raises(TlsError, match="cannot be read"):
        ClientTls(ours.file.parent / "none").credentials()
