"""What is taken away from a page without deleting the object it shows: asked once, then done."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import frozen

from tunnelcloud.domain.entities import Role
from tunnelcloud.web.portal.api_calls import Operations
from tunnelcloud.web.portal.page_requests import Moved, PageRoute, Reply, Visit
from tunnelcloud.web.portal.pages.deletion import asked
from tunnelcloud.web.routes import ADMINS, EVERYBODY


@frozen
class _Taking:
    """One kind of thing that is taken away.  Addresses have the page's parameters.

    :ivar page: the address that asks, and that does it when it is sent a form.
    :ivar named: what of the API the question names; empty when it names nothing.
    :ivar path: what of the API is deleted.
    :ivar back: the page it is on.
    :ivar roles: whose page that is.
    """

    page: str
    named: str
    path: str
    question: str
    text: str
    verb: str
    back: str
    note: str
    roles: frozenset[Role] = ADMINS


_TAKINGS = (
    _Taking(
        page="/admin/users/{user_id}/keys/{key_id}/revoke",
        named="/users/{user_id}/keys/{key_id}",
        path="/users/{user_id}/keys/{key_id}",
        question="Revoke the key {name}?",
        text="Sessions that it opened are cut off now.",
        verb="Revoke",
        back="/admin/users/{user_id}#keys",
        note="The key is revoked.",
    ),
    _Taking(
        page="/admin/users/{user_id}/second-factor/remove",
        named="/users/{user_id}",
        path="/users/{user_id}/second-factor",
        question="Remove the second factor of {name}?",
        text="The password alone signs them in then.",
        verb="Remove it",
        back="/admin/users/{user_id}#second-factor",
        note="The second factor is removed.",
    ),
    _Taking(
        page="/admin/users/{user_id}/identities/{identity_provider_id}/unlink",
        named="/identity-providers/{identity_provider_id}",
        path="/users/{user_id}/identities/{identity_provider_id}",
        question="Unlink them from {name}?",
        text="Whoever came through it as this user is signed out, and comes in no more.",
        verb="Unlink",
        back="/admin/users/{user_id}#identities",
        note="Unlinked.",
    ),
    _Taking(
        page="/admin/groups/{group_id}/members/{user_id}/remove",
        named="/users/{user_id}",
        path="/groups/{group_id}/members/{user_id}",
        question="Take {name} out?",
        text="What is open by this group alone is cut off now.",
        verb="Take out",
        back="/admin/groups/{group_id}",
        note="Taken out.",
    ),
    _Taking(
        page="/admin/settings/api-tokens/{api_token_id}/revoke",
        named="/api-tokens/{api_token_id}",
        path="/api-tokens/{api_token_id}",
        question="Revoke the API token {name}?",
        text="Whatever uses it fails from now on.",
        verb="Revoke",
        back="/admin/settings#api-tokens",
        note="The API token is revoked.",
    ),
    _Taking(
        page="/admin/settings/providers/{identity_provider_id}/delete",
        named="/identity-providers/{identity_provider_id}",
        path="/identity-providers/{identity_provider_id}",
        question="Delete {name}?",
        text="Who came through it is signed out, and nobody comes through it any more.",
        verb="Delete the provider",
        back="/admin/settings#providers",
        note="The provider is deleted; who came through it is signed out",
    ),
    _Taking(
        page="/keys/{key_id}/revoke",
        named="/me/keys/{key_id}",
        path="/me/keys/{key_id}",
        question="Revoke the key {name}?",
        text="Sessions that it opened are cut off now.",
        verb="Revoke",
        back="/keys",
        note="The key is revoked.",
        roles=EVERYBODY,
    ),
    _Taking(
        page="/sessions/{session_id}/end",
        named="/me/sessions/{session_id}",
        path="/me/sessions/{session_id}",
        question="End the session from {name}?",
        text="What runs through it is cut off.",
        verb="End session",
        back="/sessions",
        note="The session is ended.",
        roles=EVERYBODY,
    ),
    _Taking(
        page="/account/command-lines/{api_token_id}/end",
        named="",
        path="/me/api-tokens/{api_token_id}",
        question="Sign this command line out?",
        text="Whatever uses it asks for a new sign-in.",
        verb="Sign it out",
        back="/account#command-lines",
        note="The command line is signed out.",
        roles=EVERYBODY,
    ),
)


def revoking_pages(operations: Operations) -> list[PageRoute]:
    """Make the rows of the page table that ask, and those that do."""
    pages = []
    for taking in _TAKINGS:
        handlers = _Revoking(operations, taking)
        pages += [
            PageRoute("GET", taking.page, taking.roles, handlers.ask),
            PageRoute("POST", taking.page, taking.roles, handlers.take),
        ]
    return pages


@frozen
class _Revoking:
    operations: Operations
    taking: _Taking

    async def ask(self, visit: Visit) -> Reply:
        one, params = self.taking, visit.params
        question = one.question
        if one.named:
            found = await self.operations(visit, "GET", one.named.format(**params))
            question = question.format(name=_name(found))
        return asked(question, [one.text], one.verb, one.back.format(**params))

    async def take(self, visit: Visit) -> Reply:
        one, params = self.taking, visit.params
        await self.operations(visit, "DELETE", one.path.format(**params))
        return Moved(one.back.format(**params), note=one.note)


def _name(found: Mapping[str, Any]) -> str:
    """Give what somebody calls a thing; a key without a title is known by its fingerprint."""
    names = ("name", "title", "fingerprint", "source_ip", "id")
    return next(str(found[name]) for name in names if found.get(name))
