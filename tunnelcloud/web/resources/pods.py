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
from tunnelcloud.web.routes import ADMINS, READERS, Call, Listed, Route


def pod_routes(context: ApiContext) -> list[Route]:
    """Make the rows for pods."""
    handlers = _Pods(context)
    one = "/pods/{pod_id}"
    return [
        Route(
            "GET",
            "/pods",
            "list_pods",
            "List the pods; one that is gone is forgotten after a day.",
            READERS,
            handlers.list_all,
            query=PageQuery,
            answer=Page[Pod],
        ),
        Route("GET", one, "show_pod", "Show a pod.", READERS, handlers.show, answer=Pod),
        Route("DELETE", one, "delete_pod", "Forget a pod that is gone.", ADMINS, handlers.delete),
        Route(
            "POST",
            f"{one}/drain",
            "drain_pod",
            "Have a pod let nothing new in; what is open goes on.",
            ADMINS,
            handlers.drain,
            answer=Pod,
        ),
        Route(
            "POST",
            f"{one}/resume",
            "resume_pod",
            "Have a pod that was drained take new sessions again.",
            ADMINS,
            handlers.resume,
            answer=Pod,
        ),
    ]


@frozen
class _Pods:
    context: ApiContext

    async def list_all(self, call: Call) -> Listed:
        filters = call.query_as(PageQuery).filters()
        page = await self.context.store.read(page_reader(pods.list_page, **filters))
        return listed(self.context, page, self._shown)

    async def show(self, call: Call) -> Pod:
        return self._shown(await self.context.store.read(pods.get, call.params["pod_id"]))

    async def delete(self, call: Call) -> None:
        await self.context.acting(call).write(pods.remove, call.params["pod_id"])

    async def drain(self, call: Call) -> Pod:
        return await self._drain(call, draining=True)

    async def resume(self, call: Call) -> Pod:
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
