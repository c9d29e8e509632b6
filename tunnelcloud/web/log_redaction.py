"""Requests in log lines, without anything that lets anybody in."""

from __future__ import annotations

from twisted.web.iweb import IRequest

from tunnelcloud.domain.tokens import hide_secrets
from tunnelcloud.net.escaping import escape

_LONGEST_ID = 30


def logged_path(request: IRequest) -> str:
    """Give a request's path for the log, without the secrets of one-time links.

    Ids and words stay; whatever is longer than an id may be a secret.
    """
    return "/".join(
        escape(hide_secrets(segment)) if len(segment) <= _LONGEST_ID else "…"
        for segment in request.path.split(b"/")
    )
