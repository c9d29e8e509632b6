"""The SSH host keys, in the two forms in which people check them, and how they are changed."""

from __future__ import annotations

from attrs import frozen

from tunnelcloud import __version__
from tunnelcloud.domain.key_rotation import KeyUse, host_key_name
from tunnelcloud.interpreter_lock import without_turn
from tunnelcloud.pki.host_keys import ALGORITHMS, HostKey
from tunnelcloud.store import host_key_rotation
from tunnelcloud.web.models import credentials
from tunnelcloud.web.models.fields import Page
from tunnelcloud.web.resources.context import ApiContext
from tunnelcloud.web.resources.shared_keys import KeptKeys
from tunnelcloud.web.routes import ADMINS, READERS, Call, Route, operation, rows_of


def make_routes(context: ApiContext) -> list[Route]:
    """Make the rows for host keys."""
    return rows_of(_HostKeys(context))


@frozen
class _HostKeys:
    context: ApiContext

    @operation("GET", "/host-keys", READERS, answer=Page[credentials.HostKey])
    async def list_host_keys(self, call: Call) -> Page[credentials.HostKey]:
        """List the SSH host keys, which all pods share, with lines for known_hosts."""
        lines: dict[str, list[str]] = {}
        for line in self.context.live.known_hosts_lines():
            lines.setdefault(line.partition(" ")[2], []).append(line)
        keys = [
            credentials.HostKey(
                algorithm=key.public_key.partition(" ")[0],
                fingerprint=key.fingerprint,
                use=key.use,
                known_hosts=lines.get(key.public_key, []),
            )
            for key in self.context.live.host_keys()
        ]
        return Page(items=keys, next_cursor=None)

    @operation("POST", "/host-keys/rotate", ADMINS)
    async def rotate_host_keys(self, call: Call) -> None:
        """Make new host keys, which clients learn beside the current ones."""
        store, sealer = self.context.acting(call), self.context.sealer

        def kept(key: HostKey) -> bytes:
            return sealer.keep(key.private_key, host_key_name(key.algorithm, KeyUse.NEW))

        def make() -> tuple[dict[str, bytes], list[str]]:
            with without_turn():
                keys = [HostKey.create(algorithm) for algorithm in ALGORITHMS]
            return {key.algorithm: kept(key) for key in keys}, [key.fingerprint for key in keys]

        made, shown = await self.context.worker.run(make)
        await store.write(host_key_rotation.add_host_keys, made, shown, version=__version__)

    @operation("POST", "/host-keys/promote", ADMINS)
    async def promote_host_keys(self, call: Call) -> None:
        """Have all pods prove themselves with the new host keys."""
        kept = KeptKeys(self.context.sealer)
        await self.context.acting(call).write(
            host_key_rotation.promote_host_keys, kept.rename, kept.fingerprint, version=__version__
        )

    @operation("POST", "/host-keys/retire", ADMINS)
    async def retire_host_keys(self, call: Call) -> None:
        """Forget the old host keys, or new ones that were never used."""
        kept = KeptKeys(self.context.sealer)
        await self.context.acting(call).write(host_key_rotation.remove_host_keys, kept.fingerprint)
