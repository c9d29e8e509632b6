"""Pods: their list, and what an administrator can do with one from any other pod."""

from __future__ import annotations

import attrs
from attrs import frozen

from tunnelcloud.domain import entities
from tunnelcloud.store import pods
from tunnelcloud.web.models.activity import Pod, PodState
from tunnelcloud.web.models.fields import Page, PageQuery
from tunnelcloud.web.resources.collection import listed, page_reader
from tunnelcloud.web.resources.context import ApiContext
from tunnelcloud.web.routes import ADMINS, READERS, Call, Listed, Route, operation, rows_of

_ONE = "/pods/{pod_id}"


def make_routes(context: ApiContext) -> list[Route]:
    """Make the rows for pods."""
    return rows_of(_Pods(context))


@frozen
class _Pods:
    context: ApiContext

    @operation("GET", "/pods", READERS, query=PageQuery, answer=Page[Pod])
    async def list_pods(self, call: Call) -> Listed:
        """List the pods; one that is gone is forgotten after a day."""
        filters = call.query_as(PageQuery).filters()
        page = await self.context.store.read(page_reader(pods.list_page, **filters))
        return listed(self.context, page, self._shown)

    @operation("GET", _ONE, READERS, answer=Pod)
    async def show_pod(self, call: Call) -> Pod:
        """Show a pod."""
        return self._shown(await self.context.store.read(pods.get, call.params["pod_id"]))

    @operation("DELETE", _ONE, ADMINS)
    async def delete_pod(self, call: Call) -> None:
        """Forget a pod that is gone."""
        await self.context.acting(call).write(pods.remove, call.params["pod_id"])

    @operation("POST", f"{_ONE}/drain", ADMINS, answer=Pod)
    async def drain_pod(self, call: Call) -> Pod:
        """Have a pod let nothing new in; what is open goes on."""
        return await self._drain(call, draining=True)

    @operation("POST", f"{_ONE}/resume", ADMINS, answer=Pod)
    async def resume_pod(self, call: Call) -> Pod:
        """Have a pod that was drained take new sessions again."""
        return await self._drain(call, draining=False)

    async def _drain(self, call: Call, *, draining: bool) -> Pod:
        store = self.context.acting(call)
        return self._shown(await store.write(pods.drain, call.params["pod_id"], draining))

    def _shown(self, pod: entities.Pod) -> Pod:
        values = attrs.asdict(pod)
        given = {name: values[name] for name in Pod.model_fields if name in values}
        return Pod.model_validate({**given, "state": self._state(pod)})

    def _state(self, pod: entities.Pod) -> PodState:
        if pod.stopped_at is not None:
            return PodState.STOPPED
        if not pods.has_lease(pod, self.context.now()):
            return PodState.GONE
        return PodState.DRAINING if pod.draining else PodState.SERVING
