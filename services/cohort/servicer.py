"""What does CohortService answer? Its handlers, which translate between the wire and the runner, and nothing else."""

from collections.abc import AsyncIterator
from contextlib import aclosing

from libs.clock import Clock
from libs.engine import Engine
from libs.gen.cohort.v1 import cohort_pb2
from libs.rpc.errors import Context
from services.cohort.handlers.answers import Answers
from services.cohort.handlers.checks import Checks
from services.cohort.handlers.members import Members
from services.cohort.handlers.runs import Runs
from services.cohort.handlers.saved import Saved
from services.cohort.store import CohortStore
from services.cohort.watch import Watches


class CohortServicer(Runs, Saved, Members, Checks, Answers):
    """CohortService over one engine and one store of saved cohorts."""

    def __init__(self, engine: Engine, store: CohortStore, clock: Clock) -> None:
        super().__init__(engine, store, clock)
        self._watches = Watches(self._runner, store, clock)

    async def WatchCohort(
        self, request: cohort_pb2.WatchCohortRequest, context: Context
    ) -> AsyncIterator[cohort_pb2.WatchCohortResponse]:
        """Stream who enters and leaves a cohort."""
        async with aclosing(self._watches.watch(request.cohort_id, request.position)) as pieces:
            async for piece in pieces:
                response = cohort_pb2.WatchCohortResponse(
                    entered=piece.entered,
                    left=piece.left,
                    position=piece.position,
                    revision=piece.seen.revision,
                )
                response.as_of.FromMilliseconds(piece.seen.as_of)
                yield response

    def end_streams(self) -> None:
        """End the streams that have no end: the server stops."""
        self._watches.end()
