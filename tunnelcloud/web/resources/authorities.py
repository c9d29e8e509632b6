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
from tunnelcloud.web.routes import ADMINS, READERS, Call, Route, operation, rows_of


def make_routes(context: ApiContext) -> list[Route]:
    """Make the rows for the CA."""
    return rows_of(_Authorities(context))


@frozen
class _Authorities:
    context: ApiContext

    @operation("GET", "/authority", READERS, answer=Authorities)
    async def show_authority(self, call: Call) -> Authorities:
        """Show the CA of pods and connectors, and how far connectors have moved to a new one."""
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

    @operation("POST", "/authority/rotate", ADMINS)
    async def rotate_authority(self, call: Call) -> None:
        """Create a new CA, to which connectors move; both are trusted meanwhile."""
        made = CertificateAuthority.create(self.context.now())
        content = self.context.sealer.keep(made.to_pem(), NEW_AUTHORITY)
        await self.context.acting(call).write(
            authority_rotation.add, content, made.pin.hex(), version=__version__
        )

    @operation("POST", "/authority/retire", ADMINS, body=Retirement)
    async def retire_authority(self, call: Call) -> None:
        """Trust the CA before no more, once no connector is under it, or at once."""
        kept = KeptKeys(self.context.sealer)
        await self.context.acting(call).write(
            authority_rotation.retire, kept.rename, kept.pin, force=call.body_as(Retirement).force
        )
