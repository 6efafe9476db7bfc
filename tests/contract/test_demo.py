"""The demo's steps against faked services: what they show, and that no surprise goes by."""

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest

from libs.cli.demo import cohorts, server
from libs.cli.demo.receiver import Audience
from libs.cli.demo.story import Story
from libs.cli.demo.surprise import Surprise
from libs.cli.session import Session
from libs.gen.cohort.v1 import cohort_pb2, event_pb2, sync_pb2
from tests.fakes.services import Fakes

TODAY = date(2026, 11, 23)
QUESTION = cohorts.lapsed(TODAY)


@pytest.fixture
def story(fakes: Fakes) -> Iterator[Story]:
    session = Session(fakes.target)
    yield Story(session, Audience(), "http://127.0.0.1:1/audience", TODAY)
    session.close()


def members(*ids: str) -> cohort_pb2.ListMembersResponse:
    return cohort_pb2.ListMembersResponse(members=[event_pb2.Member(customer_id=one) for one in ids])


def test_every_node_is_shown_with_its_size_and_time(
    fakes: Fakes, story: Story, capsys: pytest.CaptureFixture[str]
) -> None:
    alone = cohort_pb2.RunRuleResponse(size=7)
    alone.elapsed.FromMicroseconds(250)
    fakes.answers["RunRule"] = [cohort_pb2.RunRuleResponse(size=7, node_sizes=[7, 7, 7]), alone]
    story.ask(QUESTION)
    assert capsys.readouterr().out.count("→ 7 in 250 µs") == 3


def test_a_node_that_differs_alone_is_a_surprise(fakes: Fakes, story: Story) -> None:
    whole = cohort_pb2.RunRuleResponse(size=7, node_sizes=[7, 8, 9])
    fakes.answers["RunRule"] = [whole, cohort_pb2.RunRuleResponse(size=7)]
    with pytest.raises(Surprise, match="node 1 is 8 in its rule and 7 alone"):
        story.ask(QUESTION)


def test_a_receiver_that_holds_others_is_a_surprise(fakes: Fakes, story: Story) -> None:
    run = sync_pb2.SyncRun(run_id="r", state=sync_pb2.SyncRun.SUCCEEDED)
    fakes.answers["RunSync"] = sync_pb2.RunSyncResponse(run=run)
    fakes.answers["GetSyncRun"] = sync_pb2.GetSyncRunResponse(run=run)
    fakes.answers["ListMembers"] = members("a", "b")
    story.audience.take({"runId": "r", "adds": [{"customerId": "a"}], "removes": []})
    with pytest.raises(Surprise, match="holds 1, the cohort has 2: 1 differ"):
        story.run_sync("s", "c")
    story.audience.take({"runId": "r", "adds": [{"customerId": "b"}], "removes": []})
    assert story.run_sync("s", "c") == "r"


def test_any_other_difference_than_the_expected_one_is_a_surprise(story: Story) -> None:
    story.audience.take({"runId": "r", "adds": [{"customerId": "a"}], "removes": [{"customerId": "b"}]})
    story.show_difference("r", {"a"}, {"b"})
    with pytest.raises(Surprise, match="to be removed"):
        story.show_difference("r", {"a"}, set())
    with pytest.raises(Surprise, match="to be added"):
        story.show_difference("another run", {"a"}, set())


def test_a_server_that_ends_at_once_is_a_surprise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server.sys, "executable", "/bin/false")
    with pytest.raises(Surprise, match="ended before it listened"), server.running_server(tmp_path):
        pass
