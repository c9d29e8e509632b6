"""The pod's own keys, as Conch signs with them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any

from attrs import frozen
from twisted.conch.ssh.keys import Key

from tunnelcloud.pki.host_keys import read_unchecked


class ServingKey(Key):
    """Caches the values that Conch computes several times from a host key in every exchange."""

    @classmethod
    def read(cls, private_key: bytes) -> ServingKey:
        """Read a private key in OpenSSH's form that a pod made."""
        return cls(read_unchecked(private_key))

    @cached_property
    def _kind(self) -> Any:
        return super().type()

    @cached_property
    def _encoded(self) -> bytes:
        encoded: bytes = super().blob()  # type: ignore[no-untyped-call]
        return encoded

    def type(self) -> Any:
        """Tell ``Ed25519`` from ``RSA``."""
        return self._kind

    def blob(self) -> bytes:
        """Give the public key as RFC 4253, 6.6 encodes it."""
        return self._encoded

    def public(self) -> ServingKey:
        """Give the public half."""
        half: Key = super().public()  # type: ignore[no-untyped-call]
        key: ServingKey = ServingKey.fromString(half.blob())  # type: ignore[no-untyped-call]
        return key


@frozen(eq=False)
class HostKeySet:
    """The host keys that a connection begins with, and keeps: a client takes no other later.

    :ivar private: the keys that the pod signs with, by their types, the most wanted first.
    :ivar public: their public halves.
    :ivar all: these and the ones that a client may learn beside them.
    """

    private: Mapping[bytes, Key]
    public: Mapping[bytes, Key]
    all: tuple[Key, ...]

    @classmethod
    def of(cls, current: Iterable[Key], beside: Iterable[Key] = ()) -> HostKeySet:
        """Put keys together, the most wanted first."""
        keys = tuple(current)
        return cls(
            {key.sshType(): key for key in keys},
            {key.sshType(): key.public() for key in keys},
            (*keys, *beside),
        )
