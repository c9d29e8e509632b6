"""Which message may arrive when: asked before any message is dispatched.

A message that isn't listed for the connection's phase ends it.  Conch dispatches whatever comes:
it takes service and login requests before there are keys, and any number of KEXINITs.

- Until the first keys are in use nothing but key exchange messages may come, whether or not the
  client asked for strict kex: nobody can slip a message in before the encryption starts.
- paramiko asks for the login service anew before every attempt; that is granted, but it resets
  nothing and is counted.
- Login requests belong between SERVICE_ACCEPT and USERAUTH_SUCCESS, and nowhere else.
- When this side starts a rekey, what the client had sent before it saw our KEXINIT may still
  arrive; the list narrows with the client's own KEXINIT.
"""

from enum import Enum, auto

from twisted.conch.ssh.transport import (
    MSG_DEBUG,
    MSG_DISCONNECT,
    MSG_EXT_INFO,
    MSG_IGNORE,
    MSG_KEXDH_INIT,
    MSG_KEXINIT,
    MSG_NEWKEYS,
    MSG_SERVICE_REQUEST,
    MSG_UNIMPLEMENTED,
)
from twisted.conch.ssh.userauth import MSG_USERAUTH_REQUEST

from tunnelcloud.channels import messages

MSG_USERAUTH_INFO_RESPONSE = 61

_NOISE = frozenset((MSG_DISCONNECT, MSG_IGNORE, MSG_UNIMPLEMENTED, MSG_DEBUG))
_CONNECTION = frozenset(
    (
        messages.MSG_GLOBAL_REQUEST,
        messages.MSG_REQUEST_SUCCESS,
        messages.MSG_REQUEST_FAILURE,
        messages.MSG_CHANNEL_OPEN,
        messages.MSG_CHANNEL_OPEN_CONFIRMATION,
        messages.MSG_CHANNEL_OPEN_FAILURE,
        messages.MSG_CHANNEL_WINDOW_ADJUST,
        messages.MSG_CHANNEL_DATA,
        messages.MSG_CHANNEL_EXTENDED_DATA,
        messages.MSG_CHANNEL_EOF,
        messages.MSG_CHANNEL_CLOSE,
        messages.MSG_CHANNEL_REQUEST,
        messages.MSG_CHANNEL_SUCCESS,
        messages.MSG_CHANNEL_FAILURE,
    )
)


class Phase(Enum):
    """Where a connection stands, named for what it awaits."""

    IDENTIFICATION = auto()
    FIRST_KEXINIT = auto()
    FIRST_KEX = auto()
    FIRST_NEWKEYS = auto()
    SERVICE = auto()
    LOGIN = auto()
    OPEN = auto()
    REKEY = auto()
    REKEY_NEWKEYS = auto()
    OVER = auto()


LISTED: dict[Phase, frozenset[int]] = {
    Phase.IDENTIFICATION: frozenset(),
    Phase.FIRST_KEXINIT: frozenset((MSG_DISCONNECT, MSG_KEXINIT)),
    Phase.FIRST_KEX: frozenset((MSG_DISCONNECT, MSG_KEXDH_INIT)),
    Phase.FIRST_NEWKEYS: frozenset((MSG_DISCONNECT, MSG_NEWKEYS)),
    Phase.SERVICE: _NOISE | {MSG_SERVICE_REQUEST, MSG_EXT_INFO},
    Phase.LOGIN: _NOISE | {MSG_SERVICE_REQUEST, MSG_USERAUTH_REQUEST, MSG_USERAUTH_INFO_RESPONSE},
    Phase.OPEN: _NOISE | _CONNECTION | {MSG_KEXINIT},
    Phase.REKEY: _NOISE | {MSG_KEXDH_INIT},
    Phase.REKEY_NEWKEYS: frozenset((MSG_DISCONNECT, MSG_NEWKEYS)),
    Phase.OVER: frozenset(),
}

FIRST_KEX_NUMBER, LAST_KEX_NUMBER = 30, 49
"""The numbers of key exchange methods: one of them is dropped unread after a wrong guess."""

GATES: dict[Phase, bytes] = {
    phase: bytes(number in listed for number in range(256)) for phase, listed in LISTED.items()
}
"""For each phase a byte a message number, which is 1 where the message may come."""
