"""Where may a destination be? Attempts to have internal addresses called, each of which calls nobody."""

import asyncio
import contextlib
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from services.sync.destinations import addresses
from services.sync.destinations.facebook.transport import Transport
from tests.contract.sync.harness import IMPATIENT, SECRET, TOKEN, Json, SyncHarness
from tests.fakes.cohort_service import FakeCohortService
from tests.fakes.graph import GraphApi
from tests.fakes.plugin import plugin
from tests.fakes.webhook import Answer, WebhookReceiver

INTERNAL_URLS = [
    "http://10.0.0.1/",
    "http://10.0.0.1:8080/x?y=https://example.com",
    "http://127.0.0.1/",
    "http://127.1/",
    "http://2130706433/",
    "http://0x7f000001/",
    "http://0177.0.0.1/",
    "http://0/",
    "http://0.0.0.0:80/",
    "http://localhost/",
    "http://localhost./",
    "http://LocalHost/",
    "http://127.0.0.1./",
    "http://[::1]/",
    "http://[::]/",
    "http://[::ffff:127.0.0.1]/",
    "http://[::ffff:a9fe:a9fe]/",
    "http://[0:0:0:0:0:ffff:10.0.0.1]/",
    "http://[64:ff9b::a00:1]/",
    "http://[2002:a00:1::]/",
    "http://[2001:0:a00:1::]/",
    "http://[fe80::1]/",
    "http://[fe80::1%25eth0]/",
    "http://[fd00:ec2::254]/latest/meta-data",
    "http://[ff02::1]/",
    "http://169.254.169.254/latest/meta-data/",
    "http://2852039166/latest/meta-data/",
    "http://100.100.100.200/",
    "http://168.63.129.16/",
    "http://example.com@10.0.0.1/",
    "http://example.com:pass@127.0.0.1/",
    "http://10.0.0.1\\@example.com/",
    "http://10.0.0.1#@example.com/",
    "http://127。0。0。1/",
    "http://①②⑦.⓪.⓪.①/",
    "http://１２７.0.0.1/",
    "http://loca\u00adlhost/",
    "http:///10.0.0.1/",
    "http:10.0.0.1",
    "//10.0.0.1/",
    "file:///etc/passwd",
    "gopher://127.0.0.1:6379/_x",
    "ftp://10.0.0.1/",
    "http://10.0.0.1:0/",
    "http://10.0.0.1:99999/",
    "http://exa mple.com/",
    "http://10.0.0.1\r\nHost: example.com/",
    "http://%31%30.0.0.1/",
]


@pytest.fixture
async def strict(tmp_path: Path, cohorts: FakeCohortService) -> AsyncIterator[SyncHarness]:
    harness = SyncHarness(tmp_path / "data", cohorts, allow_loopback=False)
    await harness.start()
    yield harness
    await harness.stop()


@pytest.mark.parametrize("url", INTERNAL_URLS)
async def test_no_form_of_an_internal_address_is_taken_for_a_webhook(strict: SyncHarness, url: str) -> None:
    failure = await strict.failure(
        "CreateDestination", {"destination": {"name": "x", "webhook": {"url": url}}}
    )
    assert failure.code is grpc.StatusCode.INVALID_ARGUMENT
    assert failure.violations[0][0] == "destination.webhook.url"


@pytest.mark.parametrize(
    "url", ["http://10.0.0.1", "http://[::1]:80", "http://169.254.169.254", "http://localhost"]
)
async def test_nor_for_a_graph_api(strict: SyncHarness, url: str) -> None:
    settings = {"adAccountId": "42", "accessToken": TOKEN, "matchKeys": ["EMAIL"], "graphUrl": url}
    failure = await strict.failure(
        "CreateDestination", {"destination": {"name": "x", "facebookAds": settings}}
    )
    assert (failure.reason, failure.violations[0][0]) == ("HOST_REFUSED", "destination.facebookAds.graphUrl")


@pytest.mark.parametrize(
    "target", ["10.0.0.1:1", "[::1]:1", "localhost:1", "169.254.169.254:80", "public.example:1"]
)
async def test_nor_for_a_plug_in(strict: SyncHarness, target: str) -> None:
    failure = await strict.failure(
        "CreateDestination", {"destination": {"name": "x", "grpc": {"target": target}}}
    )
    assert (failure.reason, failure.violations[0][0]) == ("HOST_REFUSED", "destination.grpc.target")


@pytest.mark.parametrize(
    "path",
    [
        "sftp://127.0.0.1/x",
        "SFTP://localhost/x",
        "ftp://10.0.0.1/x",
        "smb://fs/x",
        "hdfs://169.254.169.254:9000/x",
    ],
)
async def test_nor_for_a_file(strict: SyncHarness, path: str) -> None:
    settings = {"path": path, "format": "CSV"}
    failure = await strict.failure("CreateDestination", {"destination": {"name": "x", "file": settings}})
    assert (failure.reason, failure.violations[0][0]) == ("HOST_REFUSED", "destination.file.path")


@pytest.mark.parametrize(
    "scheme",
    ["http", "HTTPS", "webhdfs", "tar", "zip", "github", "reference", "simplecache", "dask", "git", "x" * 99],
)
async def test_storage_whose_library_follows_redirects_or_reads_elsewhere_is_refused(
    sync: SyncHarness, scheme: str
) -> None:
    settings = {"path": f"{scheme}://localhost/x.csv", "format": "CSV"}
    failure = await sync.failure("CreateDestination", {"destination": {"name": "x", "file": settings}})
    assert (failure.reason, failure.violations[0][0]) == ("INVALID_PATH", "destination.file.path")
    assert len(failure.message) < 300


async def test_insecure_lets_storage_be_on_this_machine_by_its_address_alone(sync: SyncHarness) -> None:
    for host, allowed in (
        ("localhost", True),
        ("127.0.0.1:22", True),
        ("nobody.test", False),
    ):
        settings = {"path": f"sftp://{host}/x.csv", "format": "CSV"}
        asked = {"destination": {"name": host, "file": settings}}
        if allowed:
            await sync.call("CreateDestination", asked)
        else:
            assert (await sync.failure("CreateDestination", asked)).reason == "HOST_REFUSED"


async def test_an_internal_address_is_refused_in_an_update_too(strict: SyncHarness) -> None:
    made = await strict.call(
        "CreateDestination", {"destination": {"name": "x", "webhook": {"url": "https://93.184.215.14/"}}}
    )
    changed = {"destinationId": made["destination"]["destinationId"], "webhook": {"url": "http://10.0.0.1/"}}
    failure = await strict.failure("UpdateDestination", {"destination": changed, "updateMask": "webhook.url"})
    assert failure.reason == "HOST_REFUSED"


class Names:
    """A resolver: each name answers with its lists of addresses in turn, the last for good."""

    def __init__(self, **answers: list[list[str]]) -> None:
        self.answers = {name.replace("_", "."): given for name, given in answers.items()}
        self.asked: list[str] = []

    def __call__(self, host: str, port: int) -> list[str]:
        self.asked.append(host)
        if host not in self.answers:
            raise OSError
        given = self.answers[host]
        return given.pop(0) if len(given) > 1 else given[0]


@contextlib.asynccontextmanager
async def serving(folder: Path, cohorts: FakeCohortService, **options: Any) -> AsyncIterator[SyncHarness]:
    harness = SyncHarness(folder, cohorts, **options)
    await harness.start()
    try:
        yield harness
    finally:
        await harness.stop()


async def delivered(harness: SyncHarness, cohorts: FakeCohortService, destination: Json) -> Json:
    made = await harness.call("CreateDestination", {"destination": {"name": "x", **destination}})
    sync = await harness.sync(cohorts.add_cohort("C", ["ann"]), made["destination"]["destinationId"])
    return await harness.run(sync["syncId"])


async def test_a_name_that_changes_its_mind_is_not_called(
    tmp_path: Path, cohorts: FakeCohortService, receiver: WebhookReceiver
) -> None:
    names = Names(hooks_test=[["93.184.215.14"], ["127.0.0.1"]])
    hook = {"webhook": {"url": f"http://hooks.test:{receiver.port}/"}}
    async with serving(tmp_path, cohorts, allow_loopback=False, lookup=names) as harness:
        run = await delivered(harness, cohorts, hook)
    assert (run["state"], "must not be called" in run["error"]) == ("FAILED", True)
    assert receiver.calls == []


@pytest.mark.parametrize(
    "mixed", [["93.184.215.14", "127.0.0.1"], ["127.0.0.1", "93.184.215.14"], ["::1", "10.0.0.1"]]
)
async def test_a_name_with_an_internal_address_among_others_is_not_called(
    tmp_path: Path, cohorts: FakeCohortService, receiver: WebhookReceiver, mixed: list[str]
) -> None:
    names = Names(hooks_test=[["93.184.215.14"], mixed])
    hook = {"webhook": {"url": f"http://hooks.test:{receiver.port}/"}}
    async with serving(tmp_path, cohorts, allow_loopback=False, lookup=names) as harness:
        assert (await delivered(harness, cohorts, hook))["state"] == "FAILED"
    assert receiver.calls == []


@pytest.fixture
def looking_up_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let only addresses be looked up by whatever connects: names are looked up by `Names` alone."""
    looked_up = socket.getaddrinfo

    def getaddrinfo(host: Any, *rest: Any, **options: Any) -> Any:
        text = host.decode() if isinstance(host, bytes) else host
        if text and text.endswith(".test"):
            raise AssertionError(f"{text} was looked up again")
        return looked_up(host, *rest, **options)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


@pytest.mark.usefixtures("looking_up_is_an_error")
async def test_a_webhook_is_called_at_the_address_that_was_checked_under_its_name(
    tmp_path: Path, cohorts: FakeCohortService
) -> None:
    names = Names(hooks_test=[["127.0.0.1"]])
    with WebhookReceiver(SECRET) as receiver:
        hook = {"url": f"http://Hooks.test:{receiver.port}/in", "signingSecret": SECRET}
        named = [f"hooks.test:{receiver.port}"]
        options = {"allow_loopback": False, "destination_hosts": named, "lookup": names}
        async with serving(tmp_path, cohorts, **options) as harness:
            assert (await delivered(harness, cohorts, {"webhook": hook}))["state"] == "SUCCEEDED"
        [call] = receiver.calls
    assert (call.headers["host"], call.verified) == (f"hooks.test:{receiver.port}", True)
    assert names.asked == ["hooks.test"] * 2  # when it was saved, and when it was called


@pytest.mark.usefixtures("looking_up_is_an_error")
async def test_a_graph_api_is_called_at_the_address_that_was_checked(
    tmp_path: Path, cohorts: FakeCohortService, graph: GraphApi
) -> None:
    port = graph.url.rpartition(":")[2]
    names = Names(graph_test=[["127.0.0.1"]])
    settings = {
        "adAccountId": "42",
        "accessToken": TOKEN,
        "matchKeys": ["EMAIL"],
        "graphUrl": f"http://graph.test:{port}",
    }
    cohorts.profiles["ann"] = {"email": "ann@example.com"}
    options = {"allow_loopback": False, "destination_hosts": [f"graph.test:{port}"], "lookup": names}
    async with serving(tmp_path, cohorts, **options) as harness:
        assert (await delivered(harness, cohorts, {"facebookAds": settings}))["state"] == "SUCCEEDED"


async def test_a_graph_api_that_moves_during_a_run_is_not_called(
    tmp_path: Path, cohorts: FakeCohortService, graph: GraphApi
) -> None:
    port = graph.url.rpartition(":")[2]
    names = Names(graph_test=[["10.0.0.9"], ["10.0.0.9"], ["169.254.169.254"]])
    settings = {
        "adAccountId": "42",
        "accessToken": TOKEN,
        "matchKeys": ["EMAIL"],
        "graphUrl": f"http://graph.test:{port}",
    }
    cohorts.profiles["ann"] = {"email": "ann@example.com"}
    options = {"allow_loopback": False, "destination_hosts": [f"graph.test:{port}"], "lookup": names}
    async with serving(tmp_path, cohorts, **options) as harness:
        run = await delivered(harness, cohorts, {"facebookAds": settings})
    assert (run["state"], "must not be called" in run["error"], TOKEN in run["error"]) == (
        "FAILED",
        True,
        False,
    )


@pytest.mark.usefixtures("looking_up_is_an_error")
async def test_a_plug_in_is_called_at_the_address_that_was_checked(
    tmp_path: Path, cohorts: FakeCohortService
) -> None:
    async with plugin() as served:
        port = served.target.rpartition(":")[2]
        names = Names(plugin_test=[["127.0.0.1"]])
        options = {"allow_loopback": False, "destination_hosts": [f"plugin.test:{port}"], "lookup": names}
        async with serving(tmp_path, cohorts, **options) as harness:
            run = await delivered(harness, cohorts, {"grpc": {"target": f"plugin.test:{port}"}})
    assert (run["state"], run["deliveredAdds"]) == ("SUCCEEDED", 1)


async def test_a_plug_in_whose_name_leads_elsewhere_is_not_called(
    tmp_path: Path, cohorts: FakeCohortService
) -> None:
    names = Names(plugin_test=[["10.0.0.9"], ["169.254.169.254"]])
    options = {"allow_loopback": False, "destination_hosts": ["plugin.test:50060"], "lookup": names}
    async with serving(tmp_path, cohorts, **options) as harness:
        run = await delivered(harness, cohorts, {"grpc": {"target": "plugin.test:50060"}})
    assert (run["state"], "must not be called" in run["error"]) == ("FAILED", True)


@pytest.mark.parametrize(
    "location", ["http://127.0.0.1:1/", "http://169.254.169.254/", "/elsewhere", "//10.0.0.1/"]
)
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(
    sync: SyncHarness, cohorts: FakeCohortService, receiver: WebhookReceiver, location: str, status: int
) -> None:
    receiver.misbehave(Answer(status, location=location))
    hook = {"url": receiver.url, "signingSecret": SECRET}
    run = await delivered(sync, cohorts, {"webhook": hook})
    assert (run["state"], "redirects are not followed" in run["error"]) == ("FAILED", True)
    assert len(receiver.calls) == 1


class TlsListener:
    """Begins TLS and notes which name was asked for; its certificate is nobody's."""

    def __init__(self, folder: Path) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*_certificate(folder, "hooks.test"))
        context.sni_callback = lambda sock, name, context: self.names.append(name)
        self._context = context
        self.names: list[str | None] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                with contextlib.suppress(OSError), self._context.wrap_socket(connection, server_side=True):
                    pass

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()


def _certificate(folder: Path, name: str) -> tuple[Path, Path]:
    from datetime import UTC, datetime, timedelta

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem, secret = folder / "cert.pem", folder / "key.pem"
    pem.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    secret.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return pem, secret


@pytest.fixture
def tls(tmp_path: Path) -> Iterator[TlsListener]:
    listener = TlsListener(tmp_path)
    yield listener
    listener.close()


async def test_tls_asks_for_the_name_and_trusts_no_certificate_but_a_trusted_one(
    tmp_path: Path, cohorts: FakeCohortService, tls: TlsListener
) -> None:
    names = Names(hooks_test=[["127.0.0.1"]])
    named = [f"hooks.test:{tls.port}"]
    options = {"allow_loopback": False, "destination_hosts": named, "lookup": names, "patience": IMPATIENT}
    async with serving(tmp_path / "data", cohorts, **options) as harness:
        run = await delivered(harness, cohorts, {"webhook": {"url": f"https://hooks.test.:{tls.port}/"}})
    assert "certificate of hooks.test. is not trusted" in run["error"]
    assert tls.names == ["hooks.test"]


def test_tls_to_a_graph_api_asks_for_the_name(tmp_path: Path, tls: TlsListener) -> None:
    transport = Transport(lambda: None, lambda headers: None, lambda host, port: ["127.0.0.1"])
    transport.verify = str(tmp_path / "cert.pem")
    with pytest.raises(Exception, match=r"Connection aborted|RemoteDisconnected|closed|EOF"):
        transport.request("GET", f"https://hooks.test:{tls.port}/x")  # trusted by its name, and then hung up
    with pytest.raises(Exception, match=r"doesn't match|mismatch"):
        transport.request("GET", f"https://other.test:{tls.port}/x")
    transport.close()
    assert tls.names == ["hooks.test", "other.test"]


async def test_names_that_nobody_answers_for_hold_up_no_other_call(
    tmp_path: Path, cohorts: FakeCohortService, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = threading.Event()

    def silent(host: str, port: int) -> list[str]:
        answer.wait()
        return ["93.184.215.14"]

    sync = SyncHarness(tmp_path / "silent", cohorts, lookup=silent)
    await sync.start()
    asked = [
        asyncio.create_task(
            sync.call(
                "CreateDestination",
                {"destination": {"name": f"{n}", "webhook": {"url": f"https://{n}.test"}}},
            )
        )
        for n in range(40)
    ]
    assert await sync.call("ListSyncs") == {}
    assert await asyncio.to_thread(lambda: "threads are free") == "threads are free"
    assert not any(each.done() for each in asked)
    answer.set()
    await asyncio.gather(*asked)
    answer.clear()
    monkeypatch.setattr(addresses, "LOOKUP_SECONDS", 0.02)
    made = await sync.webhook_at("https://late.test/", "late")
    tested = await sync.call("TestDestination", {"destinationId": made})
    assert "no answer within" in tested["message"]
    answer.set()
    await sync.stop()
