"""What schemathesis is told of this API: its formats, and not to revoke its own credential."""

from __future__ import annotations

import ast
import base64
import gc
import ipaddress
import os
import threading

import schemathesis
from hypothesis import strategies as st

from tunnelcloud.domain.schedule import DAYS

_parse = ast.parse
_parsing = threading.RLock()


def _parse_alone(*arguments, **options) -> ast.AST:
    """Parse for hypothesis, with nothing else parsed meanwhile: until 3.11.8 and 3.12.2 Python
    counts the depth of all trees in one place, and raises SystemError (CPython's issue 106905).
    """
    with _parsing:
        collects = gc.isenabled()
        gc.disable()
        try:
            return _parse(*arguments, **options)
        finally:
            if collects:
                gc.enable()


ast.parse = _parse_alone

_PORTS = st.integers(1, 65535)


@st.composite
def _networks(draw) -> str:
    address = draw(st.ip_addresses())
    length = draw(st.integers(0, address.max_prefixlen))
    return str(ipaddress.ip_network(f"{address}/{length}", strict=False))


def _key(raw: bytes) -> str:
    blob = b"\0\0\0\x0bssh-ed25519\0\0\0\x20" + raw
    return f"ssh-ed25519 {base64.b64encode(blob).decode('ascii')}"


_times = st.builds("{:02}:{:02}".format, st.integers(0, 23), st.integers(0, 59))
_windows = st.builds(
    "{} {}-{} {}".format,
    st.lists(st.sampled_from(DAYS), min_size=1, max_size=7).map(",".join),
    _times,
    _times | st.just("24:00"),
    st.sampled_from(["UTC", "Europe/Paris", "America/New_York", "Asia/Kathmandu"]),
)
schemathesis.openapi.format(
    "port-range",
    _PORTS.map(str) | st.tuples(_PORTS, _PORTS).map(sorted).map(lambda two: f"{two[0]}-{two[1]}"),
)
schemathesis.openapi.format("weekly-window", _windows)
schemathesis.openapi.format("ip-network", _networks())
schemathesis.openapi.format("ssh-public-key", st.binary(min_size=32, max_size=32).map(_key))


@schemathesis.hook
def filter_path_parameters(context, path_parameters) -> bool:
    """Leave the campaign's own token alone."""
    own = os.environ["FUZZ_API_OWN_TOKEN"]
    return (path_parameters or {}).get("api_token_id") != own
