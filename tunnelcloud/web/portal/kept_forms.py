"""Forms that are sent after their sign-in has ended: the browser keeps what was typed.

Once the same user has signed in again, a page shows it and sends it where it was meant to go.
A form that only confirms is not kept: its page asks again, for that one says what it is about.
"""

from __future__ import annotations

import re

from tunnelcloud.web.portal.page_requests import Visit
from tunnelcloud.web.portal.sealed_cookies import Unfinished, read_device, write_unfinished
from tunnelcloud.web.portal.sign_in_cookies import Cookies, is_csrf
from tunnelcloud.web.resources.context import ApiContext

UNFINISHED = "/unfinished"
PROOF = "csrf"
UNTYPED = frozenset({PROOF, "version"})
"""Fields that every form may have, and nobody types."""

_SECRET = re.compile(r"password|passphrase|again|current|code|secret|token")


def set_aside(context: ApiContext, cookies: Cookies, visit: Visit, asks: bool) -> str:
    """Let the browser keep a form, if it was one of ours and nothing in it is a secret.

    Whoever signed in last from this browser gets it back: the sign-in itself is gone.

    :param asks: whether the form's path also has a page, which asks for confirmation.
    :return: where to go after the sign-in; empty if the form is lost.
    """
    if not is_csrf(cookies.session(), visit.typed(PROOF)):
        return ""
    if not any(any(values) for name, values in visit.form.items() if name not in UNTYPED):
        if asks:
            cookies.keep_note(
                "You were signed out, and nothing was done. Sign in to be asked again."
            )
        return visit.path if asks else ""
    return UNFINISHED if _keep(context, cookies, visit) else ""


def _keep(context: ApiContext, cookies: Cookies, visit: Visit) -> bool:
    users = read_device(context, cookies.device()).user_ids
    if not users or any(
        _SECRET.search(name) and any(values) for name, values in visit.form.items()
    ):
        return False
    fields = [(name, value) for name, values in visit.form.items() for value in values]
    form = Unfinished(visit.path, tuple(one for one in fields if one[0] != PROOF))
    kept = write_unfinished(context, users[-1], form)
    if kept:
        cookies.keep_unfinished(kept)
        cookies.keep_note("You were signed out. Sign in, and what you typed is here again.")
    return bool(kept)
