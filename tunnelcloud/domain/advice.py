"""Advice: for users who were refused, and for administrators about to create what would be refused.

The reasons are those of ``tunnelcloud.domain.policy``, ``tunnelcloud.domain.dial_failures`` and of
logins; tools that show none of them send their users to the page that shows this.
"""

from __future__ import annotations

from tunnelcloud.domain.addresses import read_address
from tunnelcloud.domain.names import canonical_host

_ADVICE = (
    ("was used at", "Get a new one: each opens one session. Tools that connect often need a key."),
    ("token expired", "Get a new one-time token, and use it within its minutes."),
    ("token was revoked", "Get a new one-time token."),
    ("names more than one tunnel", "Use the whole name of one of them after tcptunnel@."),
    ("more than one tunnel", "Use the tunnel's name as the remote host."),
    ("the login name has another", "Use the command that came with the token."),
    ("has the name after tcptunnel@", "Take the tunnel's name, or its user name, from its page."),
    ("no such token", "Copy the whole token, and check the user name in the tool."),
    ("key expired", "Make a new key on the Keys page, or use a one-time token."),
    ("bad signature", "The private key isn't that of the public key: choose its file anew."),
    ("is not published", "Use one of the ports that the tunnel's page shows."),
    ("needs a one-time token", "Choose password in the tool, no key, and paste a one-time token."),
    ("needs a key", "Choose a key in the tool, and add it on the Keys page if it isn't there."),
    ("no tunnel of yours", "Take the remote host and port, not the local ones, from its page."),
    ("no connector is attached", "The site is offline: ask those who run its connector."),
    ("disabled; ", "An administrator has switched it off, and can switch it on."),
    ("is blocked", "An administrator can unblock your account."),
    ("the token is good", "Ask an administrator to assign the tunnel to you."),
    ("key is assigned to", "Ask an administrator to assign it to you, or use a one-time token."),
    ("token is assigned to", "Ask an administrator to assign it to you, or use a key."),
    ("is assigned to", "Ask an administrator to assign the tunnel to you."),
    ("key opens nothing", "Ask for the key to be allowed, or use a one-time token."),
    (": opens ", "Try again then."),
    (": closed ", "An administrator can extend it."),
    ("not open to connections from", "Connect from one of the networks that it is open to."),
    ("share", "Close some of what you have open, or ask an administrator for a larger share."),
    ("sessions are open", "End one of your sessions, above."),
    ("connections are open", "Close some of the tool's connections, or end a session, above."),
    (": refused", "Nothing listens there: ask those who run the server whether it is up."),
    (": timed out", "The server doesn't answer the connector: a firewall may be between them."),
    (": unreachable", "The connector has no route to the server."),
    (": no such name", "The target's name isn't known in its site: an administrator can mend it."),
    (": name look-up failed", "The site's name server doesn't answer: try again in a while."),
    ("allow and deny lists", "The site's own rules forbid it: ask those who run its connector."),
)  # fmt: skip


def target_warning(host: str) -> str:
    """Say why connectors refuse a target by default; empty if they don't, or it is a name."""
    address = read_address(canonical_host(host))
    if address is None:
        local = "loopback" if canonical_host(host) == "localhost" else ""
    else:
        own = address.is_loopback or address.is_unspecified
        local = "loopback" if own else "link-local" if address.is_link_local else ""
    if not local:
        return ""
    return (
        f"{host} is a {local} address, which connectors refuse: it opens once the site's "
        "connector.toml has it under allow"
    )


def advice_for(reason: str) -> str:
    """Return advice for a reason; empty if there is none."""
    return next((text for part, text in _ADVICE if part in reason), "")
