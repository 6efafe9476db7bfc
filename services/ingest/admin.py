"""How is the server, and who may use it? AdminService: status, API keys, projects."""

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable, Mapping, Sequence

import msgspec
from google.protobuf import timestamp_pb2
from google.protobuf.message import Message

from libs import blocking
from libs.clock import Clock
from libs.engine import Engine
from libs.errors import Denied
from libs.events.intake import Intake
from libs.gen.cohort.v1 import admin_pb2, admin_pb2_grpc
from libs.rpc.access import Caller, caller, no_such_project
from libs.rpc.errors import Context
from libs.rpc.metrics import CallSummary
from libs.rpc.pages import Pages, page_size
from libs.storage.directory import ApiKey, Change, Directory, Mutation, count_keys
from libs.storage.key_use import KeyUse
from libs.storage.projects import Project, Quota
from libs.storage.requests import check_id, fingerprint
from libs.version import program_version
from services.ingest.keys import made, revoked, shows
from services.ingest.projects import (
    LIMITS,
    add_project,
    changed_quota,
    check_quota,
    check_room_for_key,
    new_project,
)


async def _nothing(project_id: str) -> None:
    pass


def _unknown(project_id: str) -> int | None:
    return None


class AdminServicer(admin_pb2_grpc.AdminServiceServicer):
    """AdminService of one engine, over the directory of all projects."""

    def __init__(
        self,
        engine: Engine,
        directory: Directory,
        use: KeyUse,
        clock: Clock,
        *,
        calls: Callable[[], Sequence[CallSummary]] = tuple,
        services: Callable[[], Mapping[str, str]] = dict,
        opened: Callable[[str], Awaitable[None]] = _nothing,
        log_bytes: Callable[[str], int | None] = _unknown,
    ) -> None:
        """Take what it tells of, calls and why services do not serve ("" for those that do) included.

        `opened` opens a project that was just made; `log_bytes` says what a project's log takes, None where that is
        not known.
        """
        self._opened = opened
        self._log_bytes = log_bytes
        self._engine = engine
        self._directory = directory
        self._use = use
        self._clock = clock
        self._calls = calls
        self._services = services
        self._keys: Pages[tuple[ApiKey, ...]] = Pages(clock)
        self._projects: Pages[tuple[Project, ...]] = Pages(clock)

    async def CreateApiKey(
        self, request: admin_pb2.CreateApiKeyRequest, context: Context
    ) -> admin_pb2.CreateApiKeyResponse:
        """Make a key."""
        project_id = self._visible(request.api_key.project_id)
        key, secret = made(
            request.api_key.name, request.api_key.scopes, project_id=project_id, now=self._clock()
        )

        def change(changes: Change) -> tuple[bytes, bytes]:
            check_room_for_key(changes, project_id)
            kept = changes.add_key(key)
            response = admin_pb2.CreateApiKeyResponse(api_key=write_key(kept, None))
            repeated = response.SerializeToString()
            response.secret = secret
            return response.SerializeToString(), repeated

        done = await self._mutate(request, change)
        return admin_pb2.CreateApiKeyResponse.FromString(done)

    async def ListApiKeys(
        self, request: admin_pb2.ListApiKeysRequest, context: Context
    ) -> admin_pb2.ListApiKeysResponse:
        """List the keys of a project."""
        limit = page_size(request.page_size)
        project_id = self._visible(request.project_id)
        held = self._keys.find(request)
        if held:
            keys, token, first = held
        else:
            there = sorted(self._directory.contents().keys, key=lambda key: (key.create_time, key.key_id))
            keys = tuple(k for k in there if k.project_id == project_id and shows(k, caller()))
            first = 0
            token = self._keys.keep(request, keys) if len(keys) > limit else b""
        stop = min(first + limit, len(keys))
        uses = await asyncio.to_thread(self._use.last_uses)
        return admin_pb2.ListApiKeysResponse(
            api_keys=[write_key(key, uses.get(key.key_id)) for key in keys[first:stop]],
            next_page_token=self._keys.token(token, stop) if stop < len(keys) else "",
        )

    async def RevokeApiKey(
        self, request: admin_pb2.RevokeApiKeyRequest, context: Context
    ) -> admin_pb2.RevokeApiKeyResponse:
        """Make a key useless."""
        who, now = caller(), self._clock()
        uses = await asyncio.to_thread(self._use.last_uses)

        def change(changes: Change) -> tuple[bytes, bytes]:
            key = revoked(changes.key(request.key_id), who, now)
            changes.put_key(key)
            response = admin_pb2.RevokeApiKeyResponse(api_key=write_key(key, uses.get(key.key_id)))
            return (response.SerializeToString(),) * 2

        done = await self._mutate(request, change)
        return admin_pb2.RevokeApiKeyResponse.FromString(done)

    async def Compact(self, request: admin_pb2.CompactRequest, context: Context) -> admin_pb2.CompactResponse:
        """Remove what is left of erased customers."""
        done = await blocking.call(self._engine.compact)
        return admin_pb2.CompactResponse(
            customers=done.customers, events=done.events, strings=done.strings, wiped_bytes=done.wiped_bytes
        )

    async def CreateProject(
        self, request: admin_pb2.CreateProjectRequest, context: Context
    ) -> admin_pb2.CreateProjectResponse:
        """Make a project."""
        _check_operator("made")
        sent = request.project
        window = sent.dedupe_window.ToMilliseconds() if sent.HasField("dedupe_window") else None
        project = new_project(
            sent.project_id, sent.time_zone, window, self._clock(), _read_quota(sent.limits)
        )

        def change(changes: Change) -> tuple[bytes, bytes]:
            add_project(changes, project)
            response = admin_pb2.CreateProjectResponse(project=_write_project(project))
            return (response.SerializeToString(),) * 2

        done = await self._mutate(request, change)
        await self._opened(project.project_id)
        return admin_pb2.CreateProjectResponse.FromString(done)

    async def UpdateProject(
        self, request: admin_pb2.UpdateProjectRequest, context: Context
    ) -> admin_pb2.UpdateProjectResponse:
        """Set or lift limits of a project."""
        _check_operator("changed")
        project_id = self._visible(request.project.project_id)
        wanted = _read_quota(request.project.limits)

        def change(changes: Change) -> tuple[bytes, bytes]:
            before = changes.project(project_id)
            if before is None:
                raise no_such_project()
            quota = check_quota(changed_quota(before.quota, wanted, request.update_mask.paths))
            project = msgspec.structs.replace(before, quota=quota)
            changes.put_project(project)
            response = admin_pb2.UpdateProjectResponse(project=_write_project(project))
            return (response.SerializeToString(),) * 2

        done = await self._mutate(request, change)
        return admin_pb2.UpdateProjectResponse.FromString(done)

    async def ListProjects(
        self, request: admin_pb2.ListProjectsRequest, context: Context
    ) -> admin_pb2.ListProjectsResponse:
        """List the projects that the caller may see."""
        limit, who = page_size(request.page_size), caller()
        held = self._projects.find(request)
        if held:
            projects, token, first = held
        else:
            there = self._directory.contents().projects
            seen = sorted(there) if who.operator else [who.project_id]
            projects, first = tuple(there[project_id] for project_id in seen), 0
            token = self._projects.keep(request, projects) if len(projects) > limit else b""
        stop = min(first + limit, len(projects))
        return admin_pb2.ListProjectsResponse(
            projects=await asyncio.to_thread(self._with_usage, projects[first:stop]),
            next_page_token=self._projects.token(token, stop) if stop < len(projects) else "",
        )

    async def GetProject(
        self, request: admin_pb2.GetProjectRequest, context: Context
    ) -> admin_pb2.GetProjectResponse:
        """Show a project."""
        found = self._directory.contents().projects[self._visible(request.project_id)]
        (shown,) = await asyncio.to_thread(self._with_usage, [found])
        return admin_pb2.GetProjectResponse(project=shown)

    async def GetStatus(
        self, request: admin_pb2.GetStatusRequest, context: Context
    ) -> admin_pb2.GetStatusResponse:
        """Say what each part takes, and how far the index is behind the log."""
        status = self._engine.status()
        response = admin_pb2.GetStatusResponse(
            revision=self._engine.revision_token(status.revision), version=program_version()
        )
        response.lag.FromMilliseconds(status.lag)
        for part in status.parts:
            response.parts.add(
                part=part.name, disk_bytes=part.disk_bytes or 0, memory_bytes=part.memory_bytes or 0
            )
        if status.intake:
            response.intake.CopyFrom(_intake(status.intake, status.waiting or 0))
        if caller().operator:  # of all projects together
            response.calls.extend(map(_call, self._calls()))
        for service, reason in sorted(self._services().items()):
            response.services.add(service=service, serving=not reason, reason=reason)
        return response

    def _with_usage(self, projects: Sequence[Project]) -> list[admin_pb2.Project]:
        """Write projects with what they take now."""
        keys = self._directory.contents().keys
        shown = []
        for project in projects:
            written = _write_project(project)
            written.usage.api_keys = count_keys(keys, project.project_id)
            taken = self._log_bytes(project.project_id)
            if taken is not None:
                written.usage.log_bytes = taken
            shown.append(written)
        return shown

    def _visible(self, project_id: str) -> str:
        """Return the project that a request means. Raises `Missing` for one its caller may not know of."""
        who = caller()
        wanted = project_id or who.project_id
        if wanted != who.project_id and not (who.operator and wanted in self._directory.contents().projects):
            raise no_such_project()
        return wanted

    async def _mutate(self, request: Message, change: Mutation) -> bytes:
        request_id: str = getattr(request, "request_id", "")
        check_id(request_id)
        key = (f"{_owner(caller())}/{request_id}", fingerprint(request)) if request_id else None
        return await asyncio.to_thread(self._directory.mutate, key, self._clock(), change)


def _check_operator(done: str) -> None:
    if not caller().operator:
        raise Denied("OPERATOR_ONLY", f"projects are {done} with a key of the operator")


def _owner(who: Caller) -> str:
    """Return whose request ids are apart from those of others: a project's, or the operator's."""
    return "*" if who.operator else who.project_id


def write_key(key: ApiKey, last_use: int | None) -> admin_pb2.ApiKey:
    """Write a key, without its secret, with the instant of its last use, ms."""
    written = admin_pb2.ApiKey(
        key_id=key.key_id,
        project_id=key.project_id,
        name=key.name,
        scopes=key.scopes,
        operator=key.operator,
    )
    _set(written.create_time, key.create_time)
    if last_use is not None:
        _set(written.last_use_time, last_use)
    if key.revoke_time is not None:
        _set(written.revoke_time, key.revoke_time)
    return written


def _set(stamp: timestamp_pb2.Timestamp, instant: int) -> None:
    stamp.FromMilliseconds(instant)


def _write_project(project: Project) -> admin_pb2.Project:
    written = admin_pb2.Project(project_id=project.project_id, time_zone=project.time_zone)
    written.dedupe_window.FromMilliseconds(project.dedupe_window)
    _set(written.create_time, project.create_time)
    limits = msgspec.structs.asdict(project.quota)
    set_limits = {name: value for name, value in limits.items() if value is not None}
    if set_limits:
        written.limits.CopyFrom(admin_pb2.ProjectLimits(**set_limits))
    return written


def _read_quota(sent: admin_pb2.ProjectLimits) -> Quota:
    return Quota(**{name: getattr(sent, name) for name in LIMITS if sent.HasField(name)})


def _intake(taken: Intake, waiting: int) -> admin_pb2.Intake:
    return admin_pb2.Intake(waiting=waiting, **dataclasses.asdict(taken))


def _call(summary: CallSummary) -> admin_pb2.CallStatus:
    sent = admin_pb2.CallStatus(
        service=summary.service, method=summary.method, calls=summary.calls, failed=summary.failed
    )
    if summary.median is not None:
        sent.median.FromNanoseconds(round(summary.median * 1e9))
    if summary.p99 is not None:
        sent.p99.FromNanoseconds(round(summary.p99 * 1e9))
    return sent
