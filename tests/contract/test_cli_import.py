import json
from pathlib import Path
from typing import Any

import grpc
import pyarrow
import pyarrow.parquet
import pytest

from libs.cli.importing.sender import Sender
from libs.cli.importing.table import digest_of
from libs.errors import Overloaded, Unavailable
from libs.gen.cohort.v1 import event_pb2, ingest_pb2
from tests.contract.conftest import Cli
from tests.fakes.services import Fakes

CSV = """\
user_id,event,timestamp,price,zip,vip,note
a,purchase,2026-01-01 10:00:00,9.5,01234,true,hello
b,purchase,2026-01-02,,98765,False,
c,view,1767225600,3,00001,true,"x, y"
"""


def kept(request: Any) -> Any:
    """Answer that everything was kept."""
    if isinstance(request, ingest_pb2.SendEventsJsonRequest):
        lines = len(request.json_lines.splitlines())
        return ingest_pb2.SendEventsJsonResponse(accepted=lines, revision="r")
    return ingest_pb2.SendEventColumnsResponse(accepted=len(request.customer_ids), revision="r")


@pytest.fixture(autouse=True)
def _all_kept(fakes: Fakes) -> None:
    fakes.answers["SendEventColumns"] = fakes.answers["SendEventsJson"] = kept
    fakes.answers["UpsertCustomers"] = lambda request: ingest_pb2.UpsertCustomersResponse(
        accepted=len(request.customers), revision="r"
    )


def write(directory: Path, name: str, text: str | bytes) -> str:
    path = directory / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return str(path)


def columns_of(request: Any) -> dict[str, Any]:
    """Return attribute to values, None where absent."""
    found = {}
    for column in request.columns:
        values = list(column.strings or column.numbers or column.bools)
        present = list(column.present) or [True] * len(values)
        found[column.attribute] = [
            value if there else None for value, there in zip(values, present, strict=True)
        ]
    return found


class TestCsv:
    def test_guesses_the_mapping_and_the_kind_of_each_column(
        self, fakes: Fakes, cli: Cli, tmp_path: Path
    ) -> None:
        result = cli("import", write(tmp_path, "events.csv", CSV))
        assert result.exit_code == 0, result.output
        sent = fakes.last("SendEventColumns")
        assert list(sent.customer_ids) == ["a", "b", "c"]
        assert list(sent.event_types) == ["purchase", "purchase", "view"]
        assert list(sent.event_times_ms) == [1767261600000, 1767312000000, 1767225600000]
        assert columns_of(sent) == {
            "price": [9.5, None, 3],
            "zip": ["01234", "98765", "00001"],
            "vip": [True, False, True],
            "note": ["hello", None, "x, y"],
        }
        assert "3 events imported" in result.stdout
        assert "user_id   guessed" in result.stderr

    def test_without_an_id_column_the_id_is_file_digest_and_row(
        self, fakes: Fakes, cli: Cli, tmp_path: Path
    ) -> None:
        file = write(tmp_path, "events.csv", CSV)
        cli("import", file)
        cli("import", file)
        first, second = fakes.asked("SendEventColumns")
        digest = digest_of(Path(file))
        assert list(first.event_ids) == [f"{digest}:1", f"{digest}:2", f"{digest}:3"]
        assert first.event_ids == second.event_ids
        assert first.request_id != second.request_id

    def test_what_is_said_wins_over_the_guess(self, fakes: Fakes, cli: Cli, tmp_path: Path) -> None:
        file = write(tmp_path, "x.txt", "user_id,shopper,id,type,amount\n1,s1,e1,gold,2\n")
        options = ("--map", "customer_id=shopper", "--map", "price=amount", "--event-type", "purchase")
        result = cli("import", file, "--format", "csv", *options, "--string", "amount", "--ignore", "user_id")
        assert result.exit_code == 0, result.output
        sent = fakes.last("SendEventColumns")
        assert (list(sent.customer_ids), list(sent.event_types), list(sent.event_ids)) == (
            ["s1"],
            ["purchase"],
            ["e1"],
        )
        assert columns_of(sent) == {"type": ["gold"], "price": ["2"]}
        assert list(sent.event_times_ms) == []

    def test_bad_rows_are_reported_and_the_rest_goes_on(self, fakes: Fakes, cli: Cli, tmp_path: Path) -> None:
        text = b"user_id,event,time,n\na,v,2026-01-01,1\nb,v,yesterday,2\nc,v\nd,v,2026-01-01,x\n"
        file = write(tmp_path, "events.csv", text + b"e,v,2026-01-01,\n\xff,v,2026-01-01,5\n")

        def second_refused(request: Any) -> Any:
            rejection = event_pb2.Rejection(index=1, field="customer_id", reason="PLACEHOLDER", message="no")
            return ingest_pb2.SendEventColumnsResponse(accepted=1, revision="r", rejected=[rejection])

        fakes.answers["SendEventColumns"] = second_refused
        rejects = tmp_path / "rejects.jsonl"
        result = cli("import", file, "--number", "n", "--rejects", str(rejects), "--json")
        assert result.exit_code == 0
        assert list(fakes.last("SendEventColumns").customer_ids) == ["a", "e"]
        told = [json.loads(line) for line in rejects.read_text().splitlines()]
        assert [(one["row"], one["reason"]) for one in told] == [
            (2, "BAD_TIME"), (3, "CELL_COUNT"), (4, "NOT_A_NUMBER"), (5, "PLACEHOLDER"), (6, "BAD_UTF8"),
        ]  # fmt: skip
        outcome = json.loads(result.stdout)
        assert (outcome["accepted"], outcome["rejected"]) == (1, 5)

    def test_an_import_that_kept_nothing_exits_with_2(self, fakes: Fakes, cli: Cli, tmp_path: Path) -> None:
        result = cli("import", write(tmp_path, "e.csv", "user_id,event,time\na,v,soon\n"))
        assert result.exit_code == 2
        assert fakes.asked("SendEventColumns") == []

    @pytest.mark.parametrize(
        ("text", "says"),
        [
            ("a,b\n1,2\n", "--map customer_id=COLUMN"),
            ("user_id,b\n1,2\n", "--event-type"),
            ("", "first line"),
            ("user_id,a,a\n", "two columns"),
        ],
    )
    def test_what_cannot_be_mapped_is_one_line(self, cli: Cli, tmp_path: Path, text: str, says: str) -> None:
        result = cli("import", write(tmp_path, "e.csv", text))
        assert result.exit_code == 1
        assert says in result.stderr
        assert result.stderr.count("\n") == 1

    def test_large_files_go_in_batches_under_ids_of_their_own(
        self, fakes: Fakes, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("libs.cli.importing.command.CHUNK_ROWS", 10)
        rows = "".join(f"u{n},2026-01-01,{n}\n" for n in range(95))
        result = cli("import", write(tmp_path, "e.csv", "user_id,time,n\n" + rows), "--event-type", "v")
        sent = fakes.asked("SendEventColumns")
        assert len({one.request_id for one in sent}) == len(sent) == 10
        assert sorted(one for request in sent for one in request.customer_ids) == sorted(
            f"u{n}" for n in range(95)
        )
        assert "95 events imported" in result.stdout

    def test_rows_too_large_for_one_message_are_parted(
        self, fakes: Fakes, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("libs.cli.importing.encode.LARGEST_REQUEST", 500)
        rows = "".join(f"u{n},2026-01-01,{'x' * 100}\n" for n in range(10)) + "bad\n"
        file = write(tmp_path, "e.csv", "user_id,time,n\n" + rows)
        result = cli("import", file, "--event-type", "v", "--json")
        sent = fakes.asked("SendEventColumns")
        digest = digest_of(Path(file))
        assert max(len(one.customer_ids) for one in sent) <= 4
        ids = [one for request in sorted(sent, key=lambda one: one.request_id) for one in request.event_ids]
        assert ids == [f"{digest}:{row}" for row in range(1, 11)]
        assert json.loads(result.stdout)["rejected"] == 1

    def test_no_room_on_the_server_is_waited_for_but_not_for_ever(
        self, fakes: Fakes, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("tenacity.nap.time.sleep", lambda seconds: None)
        monkeypatch.setattr(
            Sender.__init__, "__kwdefaults__", {**Sender.__init__.__kwdefaults__, "patience": 0}
        )
        fakes.answers["SendEventColumns"] = Overloaded("DISK_FULL", "the disk is full")
        result = cli("import", write(tmp_path, "e.csv", CSV))
        assert (result.exit_code, result.stderr.splitlines()[-1]) == (1, "error: the disk is full")

    def test_a_server_that_is_away_for_a_moment_is_waited_for(
        self, fakes: Fakes, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("tenacity.nap.time.sleep", lambda seconds: None)
        away = Unavailable("SHUTTING_DOWN", "the server is shutting down")
        fakes.answers["SendEventColumns"] = [away, away, kept]
        result = cli("import", write(tmp_path, "e.csv", CSV))
        assert result.exit_code == 0, result.output
        assert len({one.request_id for one in fakes.asked("SendEventColumns")}) == 1

    def test_no_server_at_all_is_said_at_once(self, fakes: Fakes, cli: Cli, tmp_path: Path) -> None:
        result = cli("--target", "127.0.0.1:1", "import", write(tmp_path, "e.csv", CSV))
        assert result.exit_code == 1
        assert "cannot reach 127.0.0.1:1" in result.stderr

    def test_any_other_failure_ends_the_import(self, fakes: Fakes, cli: Cli, tmp_path: Path) -> None:
        fakes.answers["SendEventColumns"] = RuntimeError("a bug")
        result = cli("import", write(tmp_path, "e.csv", CSV))
        assert result.exit_code == 1
        assert grpc.StatusCode.INTERNAL.name not in result.stderr


class TestParquet:
    def test_the_file_s_own_types_decide(self, fakes: Fakes, cli: Cli, tmp_path: Path) -> None:
        table = pyarrow.table(
            {
                "household_id": pyarrow.array([7, 8], pyarrow.int64()),
                "event_type": pyarrow.array(["buy", "buy"]).dictionary_encode(),
                "event_time": pyarrow.array([1_767_225_600_123_456_789, 0], pyarrow.timestamp("ns")),
                "n": pyarrow.array([1, None], pyarrow.int32()),
                "x": pyarrow.array([float("nan"), 2.5]),
                "flag": pyarrow.array([True, None]),
                "day": pyarrow.array([0, 1], pyarrow.date32()),
                "big": pyarrow.array([2**60, 1], pyarrow.int64()),
            }
        )
        path = tmp_path / "e.parquet"
        pyarrow.parquet.write_table(table, path)
        result = cli("import", str(path))
        assert result.exit_code == 0, result.output
        sent = fakes.last("SendEventColumns")
        assert list(sent.customer_ids) == ["7", "8"]
        assert list(sent.event_times_ms) == [1_767_225_600_123, 0]
        assert columns_of(sent) == {
            "n": [1, None],
            "x": [None, 2.5],
            "flag": [True, None],
            "day": ["1970-01-01", "1970-01-02"],
            "big": [str(2**60), "1"],
        }

    def test_a_list_column_is_refused_by_name(self, cli: Cli, tmp_path: Path) -> None:
        path = tmp_path / "e.parquet"
        pyarrow.parquet.write_table(pyarrow.table({"user_id": ["a"], "tags": [["x"]]}), path)
        result = cli("import", str(path), "--event-type", "v")
        assert result.exit_code == 1
        assert "'tags'" in result.stderr


class TestJsonLines:
    def test_events_go_through_as_they_are(self, fakes: Fakes, cli: Cli, tmp_path: Path) -> None:
        lines = [
            b'{"customerId": "a", "eventType": "v", "eventId": "e-1", "data": {"eventId": "inner"}}',
            b"",
            b'{"customerId": "b", "eventType": "v", "data": {"eventId": "inner"}}',
            b"not json",
        ]
        file = write(tmp_path, "e.jsonl", b"\n".join(lines))
        fakes.answers["SendEventsJson"] = ingest_pb2.SendEventsJsonResponse(
            accepted=2,
            revision="r",
            rejected=[event_pb2.Rejection(index=2, reason="NOT_AN_EVENT", message="no")],
        )
        result = cli("import", file, "--json")
        sent = fakes.last("SendEventsJson").json_lines.split(b"\n")
        assert sent[0] == lines[0]
        assert json.loads(sent[1])["eventId"] == f"{digest_of(Path(file))}:3"
        assert sent[2] == b"not json"
        assert json.loads(result.stdout)["firstRejected"][0]["row"] == 4

    def test_flat_objects_are_mapped_like_columns(self, fakes: Fakes, cli: Cli, tmp_path: Path) -> None:
        text = '{"user": "a", "event": "v", "ts": 1767225600000, "x": 1, "y": ""}\n'
        text += '{"user": "b", "event": "v", "ts": "2026-01-01", "x": "one", "y": null}\n[1]\n'
        text += '{"user": "c", "event": "v", "ts": 1, "x": {"nested": 1}}\n'
        result = cli("import", write(tmp_path, "e.jsonl", text), "--json")
        sent = fakes.last("SendEventColumns")
        assert list(sent.customer_ids) == ["a", "b"]
        by_kind = [
            (one.attribute, list(one.strings), list(one.numbers), list(one.present)) for one in sent.columns
        ]
        assert by_kind == [
            ("x", ["", "one"], [], [False, True]),
            ("x", [], [1, 0], [True, False]),
            ("y", ["", ""], [], [True, False]),
        ]
        assert json.loads(result.stdout)["rejectedByReason"] == {"NOT_AN_OBJECT": 1, "NESTED": 1}


class TestCustomers:
    def test_rows_become_profiles(self, fakes: Fakes, cli: Cli, tmp_path: Path) -> None:
        file = write(tmp_path, "c.csv", "id,mail,zip,score\n1,a@x.example,01234,5\n2,,99999,\n")
        result = cli("customers", "import", file, "--map", "email=mail")
        assert result.exit_code == 0, result.output
        first, second = fakes.last("UpsertCustomers").customers
        assert first.customer_id == "1"
        assert dict(first.data) == {"email": "a@x.example", "zip": "01234", "score": 5}
        assert dict(second.data) == {"zip": "99999"}

    def test_customer_objects_keep_their_nulls(self, fakes: Fakes, cli: Cli, tmp_path: Path) -> None:
        text = '{"customerId": "1", "data": {"city": null}}\n{"customerId": 5}\n'
        result = cli("customers", "import", write(tmp_path, "c.jsonl", text), "--json")
        (customer,) = fakes.last("UpsertCustomers").customers
        assert customer.data.fields["city"].HasField("null_value")
        assert json.loads(result.stdout)["rejected"] == 1

    def test_show(self, fakes: Fakes, cli: Cli) -> None:
        response = ingest_pb2.GetCustomerResponse(events=12)
        response.customer.data.update({"city": "Pune"})
        fakes.answers["GetCustomer"] = response
        assert "Pune" in cli("customers", "show", "a").stdout

    def test_events(self, fakes: Fakes, cli: Cli) -> None:
        event = event_pb2.Event(customer_id="a", event_type="purchase", event_id="e")
        event.data.update({"price": 5, "brand": "x"})
        fakes.answers["ListCustomerEvents"] = ingest_pb2.ListCustomerEventsResponse(
            events=[event], next_page_token="t"
        )
        result = cli("customers", "events", "a", "--limit", "1")
        assert "brand=x  price=5" in result.stdout
        assert fakes.last("ListCustomerEvents").page_size == 1


def test_the_catalog_shows_kinds_ranges_and_values(fakes: Fakes, cli: Cli) -> None:
    kind = ingest_pb2.CatalogKind
    top = ingest_pb2.CatalogValue(count=2)
    top.value.string_value = "acme"
    attributes = [
        ingest_pb2.CatalogAttribute(
            attribute="price", kinds=[kind(kind=kind.NUMBER, count=3, minimum=1, maximum=9.5)]
        ),
        ingest_pb2.CatalogAttribute(
            attribute="brand", kinds=[kind(kind=kind.STRING, count=3, distinct=5, top_values=[top])]
        ),
    ]
    event_type = ingest_pb2.CatalogEventType(event_type="purchase", events=3, attributes=attributes)
    fakes.answers["GetCatalog"] = ingest_pb2.GetCatalogResponse(
        event_types=[event_type], events=3, customers=2
    )
    shown = cli("catalog", "purchase").stdout
    assert "1 to 9.5" in shown
    assert "acme … 4 more" in shown
