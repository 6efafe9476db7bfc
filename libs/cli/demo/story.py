"""What happens in the demo? Import, three questions, one cohort saved, checked, and synced twice."""

import base64
import time
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from libs.cli.demo import cohorts
from libs.cli.demo.cohorts import Question
from libs.cli.demo.dataset import Journey
from libs.cli.demo.receiver import Audience
from libs.cli.demo.surprise import expect
from libs.cli.importing.report import Report, show_outcome
from libs.cli.importing.sender import Sender
from libs.cli.output import console, count, duration, instant, pairs, plain, say
from libs.cli.paging import listing
from libs.cli.rules_words import preorder, rule_tree
from libs.cli.session import Session
from libs.cli.sync_runs import follow, run_words
from libs.gen.cohort.v1 import cohort_pb2, event_pb2, ingest_pb2, sync_pb2

SECRET = "whsec_" + base64.b64encode(b"a secret for a demo, and no other").decode()
"""What the demo's syncs are signed with."""
RETURNING = 3
"""Lapsed customers who come back in the demo."""
LATE = 2
"""Customers whose purchases of the season arrive late."""


def heading(text: str) -> None:
    """Print what comes next."""
    console().print(f"\n{text}", style="bold", soft_wrap=True)


@dataclass(slots=True)
class Story:
    """The steps of the demo, in order. Every one raises Surprise where something is not as it must be."""

    session: Session
    audience: Audience
    url: str
    today: date

    def bring_in(self, journey: Journey) -> None:
        """Import customers and events, with progress."""
        heading("Import, through the gRPC API that every client has")
        ingest = self.session.ingest()
        self._import(
            "households", ingest.UpsertCustomers, journey.customer_batches(), len(journey.households)
        )
        for events in journey.events:
            self._import(events.event_type, ingest.SendEventColumns, events.batches(), len(events))
        catalog = ingest.GetCatalog(ingest_pb2.GetCatalogRequest())
        held = count(catalog.events, "event")
        say(f"The server now holds {held} of {count(catalog.customers, 'household')}.")

    def _import(self, name: str, method: Any, batches: Any, total: int) -> None:
        with Report(name, total) as report:
            tally = Sender(method, on_batch=report.batch).send(batches)
            seconds = report.seconds
        show_outcome(tally, seconds, name.replace("_", " ").removesuffix("s"))
        expect(tally.accepted == total, f"{total} {name} were sent and {tally.accepted} were kept")

    def ask(self, question: Question) -> None:
        """Run a rule, and each of its nodes alone, and draw it with sizes and timings."""
        heading(question.name)
        say(question.why)
        stub = self.session.cohort()
        request = cohort_pb2.RunRuleRequest(rule=question.rule, with_node_sizes=True, page_size=1)
        whole = stub.RunRule(request)
        notes = []
        for place, node in enumerate(preorder(question.rule)):
            alone = stub.RunRule(cohort_pb2.RunRuleRequest(rule=node, count_only=True))
            same = alone.size == whole.node_sizes[place]
            expect(same, f"node {place} is {whole.node_sizes[place]} in its rule and {alone.size} alone")
            notes.append(f"→ {count(alone.size)} in {duration(alone.elapsed)}")
        console().print(rule_tree(question.rule, notes))

    def save(self, question: Question) -> str:
        """Save a cohort and check two customers; return its id."""
        heading(f"Save “{question.name}”, and ask about single customers")
        stub = self.session.cohort()
        cohort = cohort_pb2.Cohort(name=question.name, description=question.why, rule=question.rule)
        saved = stub.CreateCohort(cohort_pb2.CreateCohortRequest(cohort=cohort)).cohort
        say(f"Saved as {saved.cohort_id}: {count(saved.size, 'member')}.")
        member = sorted(self.members(saved.cohort_id))[0]
        other = self.some(cohorts.active(), 1)[0]
        for customer, wanted in ((member, True), (other, False)):
            request = cohort_pb2.CheckMembershipRequest(customer_id=customer, cohort_ids=[saved.cohort_id])
            started = time.perf_counter()
            verdict = stub.CheckMembership(request).results[0].member
            took = (time.perf_counter() - started) * 1e3
            said = "a member" if verdict else "not a member"
            say(f"Household {customer}: {said} (asked and answered in {took:.1f} ms)")
            expect(verdict is wanted, f"household {customer} should be {wanted}")
        newest = ingest_pb2.ListCustomerEventsRequest(customer_id=member, page_size=3)
        say(f"What household {member} did last:")
        for event in self.session.ingest().ListCustomerEvents(newest).events:
            say(f"  {instant(event, 'event_time')}  {event.event_type}  {pairs(_brief(plain(event.data)))}")
        cohort_id: str = saved.cohort_id
        return cohort_id

    def add_sync(self, cohort_id: str) -> str:
        """Add a webhook destination and a sync to it; return the sync's id."""
        heading("Sync it to a webhook")
        stub = self.session.sync()
        webhook = sync_pb2.WebhookDestination(url=self.url, signing_secret=SECRET)
        destination = sync_pb2.Destination(name="Win-back audience", webhook=webhook)
        made = stub.CreateDestination(sync_pb2.CreateDestinationRequest(destination=destination)).destination
        schedule = sync_pb2.Schedule()
        schedule.every.duration.FromTimedelta(timedelta(minutes=15))
        sync = sync_pb2.Sync(cohort_id=cohort_id, destination_id=made.destination_id, schedule=schedule)
        created = stub.CreateSync(sync_pb2.CreateSyncRequest(sync=sync)).sync
        say(f"A receiver listens at {self.url}. It runs every 15 minutes, and now.")
        sync_id: str = created.sync_id
        return sync_id

    def run_sync(self, sync_id: str, cohort_id: str) -> str:
        """Run a sync to its end, compare the receiver with the members, and return the run's id."""
        started = self.session.sync().RunSync(sync_pb2.RunSyncRequest(sync_id=sync_id)).run
        run = follow(self.session, started.run_id).run
        took = (run.end_time.ToMilliseconds() - run.start_time.ToMilliseconds()) / 1e3
        say(f"Run {run_words(run)}, in {took:.2f} s.")
        expect(run.state == sync_pb2.SyncRun.SUCCEEDED, "the run did not succeed")
        members = self.members(cohort_id)
        held = self.audience.members
        expect(
            held == members,
            f"the receiver holds {len(held)}, the cohort has {len(members)}: {len(held ^ members)} differ",
        )
        expect(self.audience.refused == 0, f"{self.audience.refused} pages had a bad signature")
        say(
            f"The receiver holds {count(len(held), 'household')}, exactly the members; "
            f"{count(self.audience.pages, 'page')} so far, every one with a good signature."
        )
        run_id: str = run.run_id
        return run_id

    def change(self, cohort_id: str) -> tuple[set[str], set[str]]:
        """Send a few events; return who must enter and who must leave."""
        heading("Life goes on: a few more events")
        leave = sorted(self.members(cohort_id))[:RETURNING]
        enter = self.some(cohorts.nearly_lapsed(self.today), LATE)
        stay = self.some(cohorts.active(), 1)
        expect(
            len(leave) == RETURNING and len(enter) == LATE and len(stay) == 1, "too few households to tell of"
        )
        now = int(time.time() * 1000)
        late = _start_of(cohorts.season(self.today)[1])
        events = [_purchase(customer, f"demo-{customer}-back", now) for customer in (*leave, *stay)]
        for customer in enter:
            events += [_purchase(customer, f"demo-{customer}-{n}", late + n * 60_000) for n in range(5)]
        say(f"Households {', '.join(leave)} are back and buy something today: they must leave the cohort.")
        say(f"Of households {', '.join(enter)} five old purchases each arrive late, from an offline till:")
        say("that makes them regulars, and they have bought nothing since: they must enter.")
        say(f"Household {stay[0]} buys as ever: nothing changes.")
        ingest = self.session.ingest()
        first = ingest.SendEvents(ingest_pb2.SendEventsRequest(events=events))
        expect(
            first.accepted == len(events), f"{len(events)} events were sent and {first.accepted} were kept"
        )
        again = ingest.SendEvents(ingest_pb2.SendEventsRequest(events=events))
        expect(
            again.duplicates == len(events),
            f"of {len(events)} events {again.accepted} were doubled",
        )
        sent = count(first.accepted, "event")
        say(f"{sent} sent, and sent again by mistake: {again.duplicates} recognised, none doubled.")
        return set(enter), set(leave)

    def show_difference(self, run_id: str, enter: set[str], leave: set[str]) -> None:
        """Say what the receiver was told in a run, and that it is just what was to be."""
        added = self.audience.added.get(run_id, set())
        removed = self.audience.removed.get(run_id, set())
        say(f"The receiver was told to add    {', '.join(sorted(added)) or 'nobody'}")
        say(f"                    and remove  {', '.join(sorted(removed)) or 'nobody'}")
        expect(added == enter, f"to be added were {sorted(enter)}")
        expect(removed == leave, f"to be removed were {sorted(leave)}")
        say("Exactly the difference, and nothing else.")

    def members(self, cohort_id: str) -> set[str]:
        """Return the ids of all members of a cohort."""
        request = cohort_pb2.ListMembersRequest(cohort_id=cohort_id)
        call = self.session.cohort().ListMembers
        response = listing(call, request, "members", limit=0, everything=True)
        return {member.customer_id for member in response.members}

    def some(self, rule: Any, number: int) -> list[str]:
        """Return a few customers of a rule."""
        response = self.session.cohort().RunRule(cohort_pb2.RunRuleRequest(rule=rule, page_size=number))
        return list(response.customer_ids)


def _brief(data: dict[str, Any]) -> dict[str, Any]:
    return {name: data[name] for name in ("brand", "category", "price") if name in data}


def _start_of(day: date) -> int:
    return (day - date(1970, 1, 1)).days * 86_400_000


def _purchase(customer: str, event_id: str, time_ms: int) -> event_pb2.Event:
    event = event_pb2.Event(customer_id=customer, event_type="purchase", event_id=event_id)
    event.event_time.FromMilliseconds(time_ms)
    event.data.update({"price": 9.99, "brand": cohorts.SOFT_DRINKS, "category": "SOFT DRINKS"})
    return event
