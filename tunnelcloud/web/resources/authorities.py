"""The CA of pods and connectors, and the one that takes its place."""

from __future__ import annotations

from attrs import frozen

from tunnelcloud import __version__
from tunnelcloud.domain.key_rotation import NEW_AUTHORITY
from tunnelcloud.pki.authority import CertificateAuthority
from tunnelcloud.store import authority_rotation
from tunnelcloud.web.models.authorities import Authorities, Authority, Retirement
from tunnelcloud.web.resources.context import ApiContext
from tunnelcloud.web.resources.shared_keys import KeptKeys
from tunnelcloud.web.routes import ADMINS, READERS, Call, Route


def authority_routes(context: ApiContext) -> list[Route]:
    """Make the rows for the CA."""
    handlers = _Authorities(context)
    return [
        Route(
            "GET",
            "/authority",
            "show_authority",
            "Show the CA of pods and connectors, and how far connectors have moved to a new one.",
            READERS,
            handlers.show,
            answer=Authorities,
        ),
        Route(
            "POST",
            "/authority/rotate",
            "rotate_authority",
            "Create a new CA, to which connectors move; both are trusted meanwhile.",
            ADMINS,
            handlers.rotate,
        ),
        Route(
            "POST",
            "/authority/retire",
            "retire_authority",
            "Trust the CA before no more, once no connector is under it, or at once.",
            ADMINS,
            handlers.retire,
            body=Retirement,
        ),
    ]


@frozen
class _Authorities:
    context: ApiContext

    async def show(self, call: Call) -> Authorities:
        found = self.context.live.authorities()
        progress = await self.context.store.read(authority_rotation.progress, found[-1].fingerprint)
        return Authorities(
            authorities=[
                Authority(fingerprint=one.fingerprint, use=one.use, expires_at=one.expires_at)
                for one in found
            ],
            connectors_moved=progress.moved,
            connectors_left=progress.left,
            left=list(progress.names),
            join_tokens=progress.join_tokens,
        )

    async def rotate(self, call: Call) -> None:
        made = CertificateAuthority.create(self.context.now())
        content = self.context.sealer.keep(made.to_pem(), NEW_AUTHORITY)
        await self.context.acting(call).write(
            authority_rotation.add, content, made.pin.hex(), version=__version__
        )

    async def retire(self, call: Call) -> None:
        kept = KeptKeys(self.context.sealer)
        await self.context.acting(call).write(
            authority_rotation.retire, kept.rename, kept.pin, force=call.body_as(Retirement).force
        )
