"""Limits in time and size, before and after the login."""

from attrs import frozen

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB


@frozen
class Limits:
    """The front door's limits, in seconds and bytes.

    The first four count from the accepted connection and nothing the client does resets them.

    :ivar browser_seconds: how long a login may take that was offered a link to confirm it at.
    :ivar steering_seconds: how long to wait for the client's KEXINIT before sending ours.  A
        virtual machine that has just started takes more than half a second to send it.
    :ivar rekey_bytes: traffic in one direction after which new keys are agreed.  Every packet is
        longer than a byte, so 1 GiB keeps within 2^30 packets too.
    :ivar refused_seconds: how long a client that may not start may take to read the reason, for at
        most ``refused_at_once`` clients.
    :ivar keepalive_seconds: silence after which the client is asked whether it lives.
    :ivar keepalive_count: after so many unanswered questions in a row, the client counts as dead.
    :ivar noise_bytes: how much a session may send at once of messages without a meaning, each of
        them counted with 1 KiB beside its bytes; it fills up with ``noise_bytes_per_second``.
    :ivar requests: how many requests, and other messages without effect that nobody asked for, a
        session may send at once; the number fills up with ``requests_per_second``.
    """

    identification_seconds: float = 10
    kex_seconds: float = 20
    login_seconds: float = 60
    browser_seconds: float = 180
    steering_seconds: float = 2
    rekey_bytes: int = 1 * GIB
    rekey_seconds: float = 3600
    rekey_finish_seconds: float = 30
    close_seconds: float = 5
    refused_seconds: float = 1
    refused_at_once: int = 64
    keepalive_seconds: float = 15
    keepalive_count: int = 3
    login_failures: int = 6
    key_queries: int = 20
    ignored_before_login: int = 100
    noise_bytes: int = 1 * MIB
    noise_bytes_per_second: int = 64 * KIB
    requests: int = 1024
    requests_per_second: float = 64
    session_channels: int = 10
    forwards: int = 256
