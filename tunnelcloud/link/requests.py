"""What pod and connector tell each other beside channels: global requests named ``…@tunnelcloud``.

Each carries one JSON object.  A side that doesn't know a request answers REQUEST_FAILURE, so a
newer peer may ask for more than an older one grants.  Replies come in order: a handler answers at
once; a result that takes time comes back as a request of its own.

This module knows names and documents; the owners decide which side sends which request.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any

from attrs import frozen

from tunnelcloud.channels.messages import ProtocolError
from tunnelcloud.net.escaping import escape
from tunnelcloud.net.foreign_json import read_foreign_json

HELLO = b"hello@tunnelcloud"
"""Both ways, first: version, software, name, capabilities."""

PING = b"ping@tunnelcloud"
"""Both ways: answered at once, with nothing."""

DRAIN = b"drain@tunnelcloud"
"""Both ways: the sender wants no new channels; open ones go on."""

DISMISS = b"dismiss@tunnelcloud"
"""Pod to connector: why it is turned away; the link ends with it."""

PODS = b"pods@tunnelcloud"
"""Pod to connector: where the pods are."""

RENEW = b"renew@tunnelcloud"
"""Connector to pod: a CSR, and which CAs it trusts.  Pod to connector: the new certificate."""

AUTHORITIES = b"authorities@tunnelcloud"
"""Pod to connector: the CAs that it is to trust from now on, the newest first."""

LINK_VERSION = 1
MAX_DOCUMENT = 64 * 1024

Document = Mapping[str, Any]
Handler = Callable[[Any, Document], Document | None]
"""Called with the link and the request's document; the reply's document, or None to refuse."""


@frozen
class Hello:
    """What one side says of itself.

    :ivar name: what it calls itself, for logs.
    :ivar software: the version of its program.
    :ivar capabilities: names of what it can do beyond link version 1.
    :ivar instance: which process of a connector this is; those that started later sort behind.
    :ivar way: how a connector reaches the pod, for people: directly, or through a proxy.
    """

    name: str
    software: str
    capabilities: frozenset[str] = frozenset()
    version: int = LINK_VERSION
    way: str = ""
    instance: str = ""

    def document(self) -> Document:
        """Return the request's document."""
        return {
            "version": self.version,
            "name": self.name,
            "software": self.software,
            "capabilities": sorted(self.capabilities),
            "way": self.way,
            "instance": self.instance,
        }


def read_hello(document: Document) -> Hello:
    """Read the peer's hello.

    :raise ProtocolError: a field is missing or of a wrong type, or no version is shared.
    """
    version, name, software = (document.get(key) for key in ("version", "name", "software"))
    capabilities = document.get("capabilities", [])
    if not isinstance(version, int) or version < LINK_VERSION:
        raise ProtocolError(f"link version {version!r} is not spoken here")
    if not isinstance(name, str) or not isinstance(software, str):
        raise ProtocolError("hello without a name or a software version")
    if not isinstance(capabilities, list) or not all(isinstance(c, str) for c in capabilities):
        raise ProtocolError("hello without a list of capabilities")
    way, instance = document.get("way", ""), document.get("instance", "")
    if not isinstance(way, str) or not isinstance(instance, str):
        raise ProtocolError("hello with a way or an instance that is no text")
    shared = frozenset(capabilities)
    # Logs, the audit, terminals and pages show it.
    return Hello(
        escape(name, 255), escape(software, 64), shared, version, escape(way, 300), instance[:64]
    )


def pack(document: Document) -> bytes:
    """Return a document's bytes."""
    return json.dumps(document, separators=(",", ":")).encode()


def unpack(data: bytes) -> Document:
    """Read a document.

    :raise ProtocolError: it is too long, or no JSON object.
    """
    if len(data) > MAX_DOCUMENT:
        raise ProtocolError(f"a document of {len(data)} bytes")
    try:
        document = read_foreign_json(data)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise ProtocolError("a document that is no JSON object")
    return document
