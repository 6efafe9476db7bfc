"""How much has this process taken in? Counts of what became of events and customers since it began.

A repeat of a request that was served before counts once. Counted in the writer's thread; read from any.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # which counts by this
    from libs.events.commit import Receipt, Submission


@dataclass(frozen=True, slots=True)
class Intake:
    """Events and customers by what became of them, and transactions of the log."""

    events_accepted: int = 0
    events_duplicate: int = 0
    events_rejected: int = 0
    customers_accepted: int = 0
    customers_rejected: int = 0
    commits: int = 0

    def after(self, answered: "Iterable[tuple[Submission, Receipt]]") -> "Intake":
        """Return the counts behind one more commit."""
        events = duplicates = bad_events = customers = bad_customers = 0
        for submission, receipt in answered:
            customers += len(submission.upserts)
            if submission.batch is None:
                bad_customers += len(receipt.rejected)
                continue
            duplicates += receipt.duplicates
            events += submission.rows - receipt.duplicates
            bad_events += len(receipt.rejected)
        return Intake(
            self.events_accepted + events,
            self.events_duplicate + duplicates,
            self.events_rejected + bad_events,
            self.customers_accepted + customers,
            self.customers_rejected + bad_customers,
            self.commits + 1,
        )
