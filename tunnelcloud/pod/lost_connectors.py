"""Connectors whose last link this pod has just lost, while the store still shows them as
attached."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

from attrs import define, field
from zope.interface import implementer

from tunnelcloud.domain.objects.sites import Connector
from tunnelcloud.pod.links import ILinksListener
from tunnelcloud.web.interfaces import NOTED_WITHIN


@implementer(ILinksListener)
@define(eq=False)
class LostConnectors:
    """Remembers when the last link of a connector was lost, while the store may not show it.

    :ivar now: the time of day.
    """

    now: Callable[[], datetime]
    clones: dict[str, datetime] = field(factory=dict, init=False)
    """When this pod last turned a second process of a connector away, by the connectors' ids."""
    _lost: dict[str, datetime] = field(factory=dict, init=False)

    def connector_attached(self, connector: Connector, version: str) -> None:
        """Forget it: it is back."""
        self._lost.pop(connector.id, None)

    def connector_detached(self, connector: Connector, reason: str) -> None:
        """Note when."""
        self._lost[connector.id] = self.now()

    def connector_cloned(self, connector: Connector, reason: str) -> None:
        """Note when."""
        self.clones[connector.id] = self.now()

    def recent(self) -> Mapping[str, datetime]:
        """Give when connectors were lost, by their ids."""
        since = self.now() - NOTED_WITHIN
        self._lost = {one: at for one, at in self._lost.items() if at > since}
        return self._lost
