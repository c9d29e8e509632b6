"""What a pod has for SSH clients, joined: who may come in, by what, and the keys they know it by.

The one place of the pod that puts SSH together; all others know its interfaces.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from twisted.cred.portal import Portal

from tunnelcloud.channels.windows import CreditBudget
from tunnelcloud.net.message_scheduling import SharedTurn
from tunnelcloud.net.source_limits import FloodControl, FloodLimits
from tunnelcloud.net.spreading import Spreading
from tunnelcloud.pod.browser_logins import BrowserLogins
from tunnelcloud.pod.connector_side import spared_networks
from tunnelcloud.pod.key_cache import KeyRing, find_key
from tunnelcloud.pod.live_sessions import LiveSessions
from tunnelcloud.pod.login_attempts import Access, Realm
from tunnelcloud.pod.penalties import SharedPenalties
from tunnelcloud.pod.preparation import Foundation
from tunnelcloud.pod.shared_keys import SharedKeys
from tunnelcloud.pod.user_views import Views
from tunnelcloud.ssh.checkers import checkers_of
from tunnelcloud.ssh.factory import FrontDoorFactory
from tunnelcloud.ssh.host_keys import ServingKey
from tunnelcloud.ssh.limits import Limits
from tunnelcloud.store.asynchronous import AsyncStore
from tunnelcloud.store.transaction import Change, Resync


class SshSide:
    """A pod's side towards SSH clients.

    :ivar flood: keeps out who comes too often.
    :ivar penalties: what other pods know of who comes too often.
    :ivar factory: makes the protocols of connections.
    """

    def __init__(
        self,
        reactor: Any,
        foundation: Foundation,
        *,
        store: AsyncStore,
        sessions: LiveSessions,
        views: Views,
        refusal: Callable[[], str],
        room: FloodLimits,
        budget: CreditBudget,
        keys: SharedKeys,
        turn: SharedTurn,
        spreading: Spreading,
    ) -> None:
        settings, pod_id = foundation.settings, foundation.seat.pod_id
        self.flood = FloodControl(
            reactor,
            random.SystemRandom().random,
            room,
            exempt=spared_networks(settings.ssh),
        )
        self.penalties = SharedPenalties(self.flood, store, pod_id)
        self._ring = KeyRing(lambda blob: store.read(find_key, blob))
        browsers = BrowserLogins.by_settings(store, reactor, settings)
        access = Access(store, pod_id, views, self._ring, sessions.has_room, refusal, browsers)
        self.factory = FrontDoorFactory(
            portal=Portal(Realm(sessions, access), checkers_of(access)),
            access=access,
            host_keys=(),
            clock=reactor,
            flood=self.flood,
            budget=budget,
            limits=Limits(
                rekey_bytes=settings.ssh.rekey_bytes, rekey_seconds=settings.ssh.rekey_after
            ),
            balancers=settings.ssh.proxy_protocol_from,
            tokens_from=settings.web.portal_text,
            turn=turn,
            spreading=spreading,
        )
        self._keys = keys
        self._use_host_keys()
        keys.listen(self._use_host_keys)

    def changed(self, change: Change | Resync) -> None:
        """Take a notice from the change feed."""
        self._ring.changed(change)
        self.penalties.changed(change)

    def _use_host_keys(self) -> None:
        """Have new connections begin with the host keys as they are now."""
        current, *beside = (
            [ServingKey.read(key.private_key) for key in keys] for keys in self._keys.host_keys.uses
        )
        self.factory.use_host_keys(current, [key for keys in beside for key in keys])
