"""The authorization code flow: sends somebody to their provider, and reads who came back.

OpenID Connect Core 1.0, 3.1; RFC 6749; RFC 7636 (PKCE); RFC 9207 (who answers).  What binds an
answer to the question is derived from one secret that only the browser keeps.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from attrs import frozen

from tunnelcloud.domain.objects.identity_providers import IdentityProvider
from tunnelcloud.net.fetching import Fetch
from tunnelcloud.web.oidc.claims import Claims, read_claims, value_at
from tunnelcloud.web.oidc.directory import Directory, Metadata, read_object
from tunnelcloud.web.oidc.faults import IF_AGAIN, START_AGAIN, ProviderFault
from tunnelcloud.web.oidc.id_tokens import Expected, read_id_token
from tunnelcloud.web.oidc.provider_requests import ask


def derived(secret: str, purpose: str) -> str:
    """Derive a value of 256 bits from a browser's secret."""
    digest = hmac.new(secret.encode("utf-8"), purpose.encode("ascii"), hashlib.sha256).digest()
    return base64.urlsafe_b64encode(digest).decode("ascii").rstrip("=")


def is_state(secret: str, given: str) -> bool:
    """Tell whether an answer belongs to a browser's secret."""
    expected = derived(secret, "state").encode("ascii")
    return hmac.compare_digest(expected, given.encode("utf-8", "replace"))


@frozen
class Client:
    """This service, as providers know it.

    :ivar tell_seconds: gives the time in seconds since the epoch.
    """

    directory: Directory
    fetch: Fetch
    tell_seconds: Callable[[], float]

    async def address(self, provider: IdentityProvider, redirect_uri: str, secret: str) -> str:
        """Give where to send a browser.

        :param secret: what only this browser keeps.
        :raise ProviderFault: the provider can't be used.
        """
        metadata = await self.directory.metadata(provider.issuer)
        verifier = derived(secret, "verifier").encode("ascii")
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier).digest()).rstrip(b"=")
        query = urlencode(
            {
                "response_type": "code",
                "client_id": provider.client_id,
                "redirect_uri": redirect_uri,
                "scope": " ".join(dict.fromkeys(["openid", *provider.scopes])),
                "state": derived(secret, "state"),
                "nonce": derived(secret, "nonce"),
                "code_challenge": challenge.decode("ascii"),
                "code_challenge_method": "S256",
            }
        )
        endpoint = metadata.authorization_endpoint
        return f"{endpoint}{'&' if urlsplit(endpoint).query else '?'}{query}"

    async def redeem(
        self,
        provider: IdentityProvider,
        client_secret: str | None,
        redirect_uri: str,
        secret: str,
        answer: Mapping[str, str],
    ) -> Claims:
        """Find out who came back.

        :param secret: the same as for ``address``; ``state`` was compared with it.
        :param answer: the query that the provider sent the browser back with.
        :raise ProviderFault: the provider doesn't confirm who it is.
        """
        metadata = await self.directory.metadata(provider.issuer)
        _check_answer(metadata, answer)
        tokens = await self._exchange(
            provider, metadata, client_secret, redirect_uri, secret, answer["code"]
        )
        expected = Expected(
            provider.issuer, provider.client_id, derived(secret, "nonce"), self.tell_seconds()
        )
        claims = await read_id_token(tokens.get("id_token"), self.directory, expected)
        return read_claims(provider, await self._completed(provider, metadata, claims, tokens))

    async def _exchange(
        self,
        provider: IdentityProvider,
        metadata: Metadata,
        client_secret: str | None,
        redirect_uri: str,
        secret: str,
        code: str,
    ) -> dict[str, Any]:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect_uri,
            "code_verifier": derived(secret, "verifier"),
        }
        headers = {
            "Accept": "application/json",
            "Content-Type": "application/x-www-form-urlencoded",
        }
        if client_secret is None:
            form["client_id"] = provider.client_id
        elif metadata.posts_secret:
            form |= {"client_id": provider.client_id, "client_secret": client_secret}
        else:
            pair = f"{quote(provider.client_id, safe='')}:{quote(client_secret, safe='')}"
            headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode('ascii')}"
        fetched = await ask(
            self.fetch, "POST", metadata.token_endpoint, headers, urlencode(form).encode()
        )
        if fetched.status in (400, 401):
            raise ProviderFault(
                "code",
                "The provider doesn't take back the code that it gave you.",
                f"{START_AGAIN} If it happens again, tell an administrator of TunnelCloud: the "
                "client id or the client secret may be wrong.",
            )
        return read_object(fetched, metadata.token_endpoint)

    async def _completed(
        self,
        provider: IdentityProvider,
        metadata: Metadata,
        claims: Mapping[str, Any],
        tokens: Mapping[str, Any],
    ) -> Mapping[str, Any]:
        """Add what the provider says at its userinfo endpoint only."""
        wanted = {"email", provider.name_claim, provider.groups_claim} - {""}
        access_token = tokens.get("access_token")
        lacking = [name for name in wanted if value_at(claims, name) is None]
        if not lacking or metadata.userinfo_endpoint is None:
            return claims
        if not isinstance(access_token, str) or not access_token.isascii():
            return claims
        headers = {"Accept": "application/json", "Authorization": f"Bearer {access_token}"}
        fetched = await ask(self.fetch, "GET", metadata.userinfo_endpoint, headers)
        more = read_object(fetched, metadata.userinfo_endpoint)
        if more.get("sub") != claims["sub"]:
            raise ProviderFault("subject", "The provider gave answers about two different people.")
        # Whether an address is verified is for the answer to say that names it.
        if "email" in claims:
            more = {name: more[name] for name in more if not name.startswith("email")}
        elif "email" in more:
            claims = {name: claims[name] for name in claims if name != "email_verified"}
        return {**more, **claims}


def _check_answer(metadata: Metadata, answer: Mapping[str, str]) -> None:
    issuer = answer.get("iss")
    if (issuer is None and metadata.answers_with_issuer) or issuer not in (None, metadata.issuer):
        raise ProviderFault(
            "issuer",
            "The answer comes from another provider than the one you went to.",
            f"Don't go on. {START_AGAIN} {IF_AGAIN}",
        )
    error = answer.get("error")
    if error == "access_denied":
        raise ProviderFault(
            "denied", "The provider didn't let you in, or you turned back.", START_AGAIN
        )
    if error is not None:
        known = error if error.isascii() and error.replace("_", "").isalnum() else "an error"
        raise ProviderFault("refused", f"The provider answered with {known[:60]}.")
    if not answer.get("code"):
        raise ProviderFault("code", "The provider's answer has no code.", START_AGAIN)
