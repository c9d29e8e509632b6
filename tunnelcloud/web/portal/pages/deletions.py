"""Pages that delete, revoke, end or block something, each after one question."""

from __future__ import annotations

from tunnelcloud.web.portal.admin_kinds import SECTIONS
from tunnelcloud.web.portal.api_calls import Operations
from tunnelcloud.web.portal.page_requests import PageRoute
from tunnelcloud.web.portal.pages.confirmation import (
    Handlers,
    Taking,
    look_up_channel,
    weigh_assignment,
    weigh_blocking,
    weigh_deletion,
    weigh_session,
)
from tunnelcloud.web.resources.context import ApiContext
from tunnelcloud.web.routes import EVERYBODY

_TAKINGS = (
    *(
        Taking(
            page=f"/admin/{section.plural}/{{{section.id_name}}}/delete",
            named=f"/{section.plural}/{{{section.id_name}}}",
            question="Delete {name}?",
            verb="Delete {name}",
            look=weigh_deletion(section.noun),
            back=f"/admin/{section.plural}/{{{section.id_name}}}",
            after=f"/admin/{section.plural}",
            note="Deleted {name}.",
            stays=True,
        )
        for section in SECTIONS
    ),
    Taking(
        page="/admin/tunnels/{tunnel_id}/assignments/{assignment_id}/delete",
        path="/tunnels/{tunnel_id}/assignments/{assignment_id}",
        question="Remove the assignment of {tunnel} to {who}?",
        verb="Remove",
        look=weigh_assignment,
        back="/admin/tunnels/{tunnel_id}/access",
        note="Removed.",
    ),
    Taking(
        page="/admin/sessions/{session_id}/end",
        path="/sessions/{session_id}",
        question="End {name}'s session?",
        verb="End session",
        look=weigh_session,
        back="/admin/sessions",
        note="The session is ended.",
    ),
    Taking(
        page="/admin/sessions/{session_id}/channels/{channel_id}/end",
        path="/sessions/{session_id}/channels/{channel_id}",
        question="End the channel to {name}?",
        text="It is cut off; the rest of the session goes on.",
        verb="End channel",
        look=look_up_channel,
        back="/admin/sessions",
        note="The channel is ended.",
    ),
    Taking(
        page="/admin/users/{user_id}/block",
        named="/users/{user_id}",
        question="Block {name}?",
        text="They can't sign in or open a tunnel until they are unblocked; "
        "their keys and assignments are kept.",
        verb="Block {name}",
        look=weigh_blocking,
        body={"blocked": True},
        back="/admin/users/{user_id}",
        note="{name} is blocked.",
    ),
    Taking(
        page="/admin/users/{user_id}/unblock",
        path="/users/{user_id}",
        body={"blocked": False},
        back="/admin/users/{user_id}",
        note="{name} is unblocked.",
    ),
    Taking(
        page="/admin/users/{user_id}/keys/{key_id}/revoke",
        named="/users/{user_id}/keys/{key_id}",
        question="Revoke the key {name}?",
        text="Sessions that it opened are cut off now.",
        verb="Revoke",
        back="/admin/users/{user_id}/access#keys",
        note="The key is revoked.",
    ),
    Taking(
        page="/admin/users/{user_id}/second-factor/remove",
        named="/users/{user_id}",
        path="/users/{user_id}/second-factor",
        question="Remove the second factor of {name}?",
        text="They then sign in with the password alone.",
        verb="Remove it",
        back="/admin/users/{user_id}/settings#second-factor",
        note="The second factor is removed.",
    ),
    Taking(
        page="/admin/users/{user_id}/identities/{identity_provider_id}/unlink",
        named="/identity-providers/{identity_provider_id}",
        path="/users/{user_id}/identities/{identity_provider_id}",
        question="Unlink them from {name}?",
        text="People who signed in with it as this user are signed out, "
        "and can't sign in with it again.",
        verb="Unlink",
        back="/admin/users/{user_id}/settings#identities",
        note="Unlinked.",
    ),
    Taking(
        page="/admin/groups/{group_id}/members/{user_id}/remove",
        named="/users/{user_id}",
        path="/groups/{group_id}/members/{user_id}",
        question="Remove {name} from the group?",
        text="Connections that only this group allows are cut off now.",
        verb="Remove",
        back="/admin/groups/{group_id}",
        note="Removed from the group.",
    ),
    Taking(
        page="/admin/settings/api-tokens/{api_token_id}/revoke",
        named="/api-tokens/{api_token_id}",
        question="Revoke the API token {name}?",
        text="Whatever uses it fails from now on.",
        verb="Revoke",
        back="/admin/settings#api-tokens",
        note="The API token is revoked.",
    ),
    Taking(
        page="/admin/settings/providers/{identity_provider_id}/delete",
        named="/identity-providers/{identity_provider_id}",
        question="Delete {name}?",
        text="Everybody who signed in through it is signed out, and nobody can sign in through it.",
        verb="Delete the provider",
        back="/admin/settings#providers",
        note="The provider is deleted; everybody who signed in through it is signed out.",
    ),
    Taking(
        page="/keys/{key_id}/revoke",
        named="/me/keys/{key_id}",
        question="Revoke the key {name}?",
        text="Sessions that it opened are cut off now.",
        verb="Revoke",
        back="/keys",
        note="The key is revoked.",
        roles=EVERYBODY,
    ),
    Taking(
        page="/sessions/{session_id}/end",
        named="/me/sessions/{session_id}",
        question="End the session from {name}?",
        text="What runs through it is cut off.",
        verb="End session",
        back="/sessions",
        note="The session is ended.",
        roles=EVERYBODY,
    ),
    Taking(
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


def taking_pages(context: ApiContext, operations: Operations) -> list[PageRoute]:
    """Make the rows of the page table that ask, and those that do."""
    pages = []
    for taking in _TAKINGS:
        handlers = Handlers(context, operations, taking)
        if taking.question:
            pages.append(PageRoute("GET", taking.page, taking.roles, handlers.ask))
        pages.append(PageRoute("POST", taking.page, taking.roles, handlers.take))
    return pages
