"""The lines for ``known_hosts``, which are kept until an address, a name or a key changes.

There may be thousands of names, and strangers may ask for the lines.
"""

from __future__ import annotations

from collections.abc import Sequence

from attrs import define, field

from tunnelcloud.domain.ssh_command import PublicAddress
from tunnelcloud.pki.host_keys import known_hosts_line

_Of = tuple[tuple[PublicAddress, ...], tuple[str, ...], tuple[str, ...]]


@define
class KnownHosts:
    """The lines as they were asked for last."""

    _of: _Of | None = field(default=None, init=False)
    _lines: tuple[str, ...] = field(default=(), init=False)

    def lines(
        self, addresses: Sequence[PublicAddress], names: Sequence[str], keys: Sequence[str]
    ) -> Sequence[str]:
        """Give a line for each key of each address, without repeating one.

        :param addresses: where clients reach the pods, this one's first.
        :param names: other hosts that clients connect to, on the port of this pod.
        :param keys: public keys as OpenSSH writes them.
        """
        of = tuple(addresses), tuple(names), tuple(keys)
        if of != self._of:
            port = addresses[0].port
            named = (PublicAddress(name, port) for name in names)
            self._lines = tuple(
                known_hosts_line(address.host, address.port, key)
                for address in dict.fromkeys([*addresses, *named])
                for key in keys
            )
            self._of = of
        return self._lines
