"""Which message may arrive when: asked before any message is dispatched.

Three things can happen to a message: it is listed for the connection's phase and taken; it is
answered with UNIMPLEMENTED, which no client minds; or it ends the connection.  Conch dispatches
whatever comes: it takes service and login requests before there are keys, and any number of
KEXINITs.  docs/front-door.md has the same table for people.

- Until the first keys are in use nothing but key exchange messages may come, whether or not the
  client asked for strict kex: nobody can slip a message in before the encryption starts.
- paramiko asks for the login service anew before every attempt; that is granted, but it resets
  nothing and is counted.
- Login requests belong between SERVICE_ACCEPT and USERAUTH_SUCCESS, and nowhere else.
- Libraries send a global request as their sign of life before the login, too.  As OpenSSH does,
  the front door answers each message of the connection protocol with UNIMPLEMENTED then, and so
  it does with every number that nobody has assigned (RFC 4253, 11.4).  All of them count as
  messages without a meaning, which are bounded.
- asyncssh up to 2.5 sends EXT_INFO once more when it is logged in, which RFC 8308, 2.4 gives to the
  server alone.  OpenSSH answers it with UNIMPLEMENTED, and so does the front door.
- In a rekey of an open session the connection protocol goes on until the client's NEWKEYS: JSch's
  threads write data after its KEXINIT (RFC 4253, 7.1 forbids it, OpenSSH takes it).  In the first
  exchange, and in no other place, this would let somebody slip messages in.
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

NOISE = frozenset((MSG_DISCONNECT, MSG_IGNORE, MSG_UNIMPLEMENTED, MSG_DEBUG))
CONNECTION = frozenset(
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
    """The phase of a connection, named for the message that it waits for."""

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
    Phase.SERVICE: NOISE | {MSG_SERVICE_REQUEST, MSG_EXT_INFO},
    Phase.LOGIN: NOISE | {MSG_SERVICE_REQUEST, MSG_USERAUTH_REQUEST, MSG_USERAUTH_INFO_RESPONSE},
    Phase.OPEN: NOISE | CONNECTION | {MSG_KEXINIT},
    Phase.REKEY: NOISE | CONNECTION | {MSG_KEXDH_INIT},
    Phase.REKEY_NEWKEYS: NOISE | CONNECTION | {MSG_NEWKEYS},
    Phase.OVER: frozenset(),
}
"""Messages that are handled."""

_FROM_CONNECTION_ON = frozenset(range(messages.MSG_GLOBAL_REQUEST, 256))

UNIMPLEMENTED: dict[Phase, frozenset[int]] = {
    phase: _FROM_CONNECTION_ON - LISTED[phase]
    for phase in (Phase.SERVICE, Phase.LOGIN, Phase.OPEN, Phase.REKEY, Phase.REKEY_NEWKEYS)
}
for _phase in (Phase.LOGIN, Phase.OPEN):
    UNIMPLEMENTED[_phase] |= {MSG_EXT_INFO}
"""Messages that are answered with UNIMPLEMENTED, and counted."""

FIRST_KEX_NUMBER, LAST_KEX_NUMBER = 30, 49
"""The numbers of key exchange methods: one of them is dropped unread after a wrong guess."""

REFUSED, TAKEN, ANSWERED = 0, 1, 2

_SHARES = {MSG_KEXINIT: 64, MSG_KEXDH_INIT: 32, MSG_USERAUTH_REQUEST: 32, **messages.SHARES}
SHARES = bytes(_SHARES.get(number, 1) for number in range(256))
"""For each message number, as how many messages of one turn of the reactor it counts."""

GATES: dict[Phase, bytes] = {
    phase: bytes(
        TAKEN
        if number in listed
        else ANSWERED
        if number in UNIMPLEMENTED.get(phase, ())
        else REFUSED
        for number in range(256)
    )
    for phase, listed in LISTED.items()
}
"""For each phase a byte a message number: ``REFUSED``, ``TAKEN`` or ``ANSWERED``."""
