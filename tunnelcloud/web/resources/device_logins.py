"""Command lines that sign in: they ask here, and somebody allows them in the portal (RFC 8628)."""

from __future__ import annotations

from datetime import timedelta
from http import HTTPStatus

from attrs import field, frozen

from tunnelcloud.domain.addresses import party_of, source_group
from tunnelcloud.domain.tokens import hash_secret, new_api_token, new_link_secret, new_user_code
from tunnelcloud.net.escaping import escape
from tunnelcloud.net.one_at_a_time import OneAtATime
from tunnelcloud.store import device_logins
from tunnelcloud.store.device_logins import INTERVAL_SECONDS, LIFETIME_SECONDS, Progress
from tunnelcloud.web.models.device_logins import (
    DeviceLogin,
    DeviceToken,
    DeviceTokenRequest,
    NewDeviceLogin,
)
from tunnelcloud.web.problems import Problem
from tunnelcloud.web.resources.context import ApiContext
from tunnelcloud.web.routes import ANONYMOUS, Call, Route, operation, rows_of

_TOKEN_LIFETIME = timedelta(days=30)
_STATUS = {
    Progress.PENDING: "pending",
    Progress.TOO_SOON: "too_soon",
    Progress.DENIED: "denied",
    Progress.OVER: "over",
    Progress.ALLOWED: "allowed",
}


def make_routes(context: ApiContext) -> list[Route]:
    """Make the rows for command lines that sign in."""
    return rows_of(_DeviceLogins(context))


@frozen
class _DeviceLogins:
    """Logins of command lines.

    :ivar _begun: strangers begin them; each takes some milliseconds while thousands wait.
    """

    context: ApiContext
    _begun: OneAtATime = field(factory=OneAtATime)

    @operation(
        "POST",
        "/device-logins",
        ANONYMOUS,
        body=NewDeviceLogin,
        answer=DeviceLogin,
        status=HTTPStatus.CREATED,
    )
    async def begin_device_login(self, call: Call) -> DeviceLogin:
        """Ask to be let in; a person types the code at the address that is answered."""
        secret = new_link_secret(self.context.random)
        code = new_user_code(self.context.random)

        async def begin() -> bool:
            return await self.context.store.read(
                device_logins.has_room, call.source_ip
            ) and await self.context.store.write(
                device_logins.begin,
                secret_hash=hash_secret(secret),
                user_code=code,
                client=escape(call.body_as(NewDeviceLogin).client),
                source_ip=call.source_ip,
                source=source_group(call.source_ip),
            )

        if not await self._begun.run(party_of(call.source_ip), begin):
            raise Problem(
                HTTPStatus.TOO_MANY_REQUESTS,
                "too many command lines wait at your address: finish those, or wait 10 minutes",
                headers={"Retry-After": str(LIFETIME_SECONDS)},
            )
        return DeviceLogin(
            device_code=secret,
            user_code=code,
            verification_url=f"{self.context.web_url}/device",
            expires_in=LIFETIME_SECONDS,
            interval=INTERVAL_SECONDS,
        )

    @operation(
        "POST", "/device-logins/token", ANONYMOUS, body=DeviceTokenRequest, answer=DeviceToken
    )
    async def poll_device_login(self, call: Call) -> DeviceToken:
        """Ask whether the login is allowed; then the answer has the API token, once."""
        token = new_api_token(self.context.random)
        secret_hash = hash_secret(call.body_as(DeviceTokenRequest).device_code)
        progress = await self.context.store.read(device_logins.look, secret_hash)
        if progress is not None:
            return DeviceToken(status=_STATUS[progress])
        polled = await self.context.store.write(
            device_logins.poll, secret_hash, hash_secret(token), _TOKEN_LIFETIME
        )
        if polled.token is None or polled.user is None:
            return DeviceToken(status=_STATUS[polled.progress])
        return DeviceToken(
            status=_STATUS[polled.progress],
            token=token,
            expires_at=polled.token.expires_at,
            user=polled.user.name,
        )
