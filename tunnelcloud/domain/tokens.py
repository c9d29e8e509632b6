"""Secrets that are shown once: made here, kept elsewhere only as hashes.

A one-time token is 26 characters of ``a-z2-7``: 130 bits of chance.  Its hash needs no salt and no
stretching, since nobody guesses 130 bits; the hash is what is compared and looked up.
"""

from __future__ import annotations

import base64
import hashlib
import re
import string
from collections.abc import Callable

from tunnelcloud.domain.name_comparison import folded

TOKEN_LENGTH = 26
_TOKEN = re.compile(r"[a-z2-7]{26}")
_AROUND = (
    string.whitespace
    + "\ufeff\u200b\u200c\u200d\u2060\u00a0\u202f`'\"<>"
    + "".join(("\u2018", "\u2019", "\u201a", "\u201c", "\u201d", "\u201e", "\u00ab", "\u00bb"))
)
"""What mails, chats and shells put around a token: blanks of any kind, a BOM, quotes."""
_API_TOKEN_PREFIX = "tca_"  # noqa: S105  (a prefix that scanners of leaked secrets can look for)
_LINK_PREFIX = "tcl_"


def _letters(random: Callable[[int], bytes]) -> str:
    return base64.b32encode(random(17)).decode("ascii").lower()[:TOKEN_LENGTH]


def new_token(random: Callable[[int], bytes]) -> str:
    """Make a one-time token.

    :param random: gives that many random bytes (``os.urandom``).
    """
    return _letters(random)


def new_api_token(random: Callable[[int], bytes]) -> str:
    """Make a bearer token for the API: ``tca_`` and 26 characters."""
    return _API_TOKEN_PREFIX + _letters(random)


def new_link_secret(random: Callable[[int], bytes]) -> str:
    """Make the secret part of a one-time link: ``tcl_`` and 26 characters."""
    return _LINK_PREFIX + _letters(random)


def as_typed(typed: str) -> str:
    """Take what surrounds a secret that was typed or pasted off it: blanks, quotes, a BOM.

    What is a one-time token in capitals becomes one; anything else stays as it is.
    """
    text = typed.strip(_AROUND)
    lower = folded(text)
    return lower if _TOKEN.fullmatch(lower) else text


_SECRET = re.compile(
    rb"(?<![A-Za-z0-9])(?:tc[a-z](?:_|\d\.)[A-Za-z0-9_-]{16,}|[A-Za-z2-7]{26})(?![A-Za-z0-9])"
)
_HIDDEN = b"(a one-time token)"
_HIDDEN_OTHER = b"(a secret)"


def without_secrets(typed: str) -> str:
    """Hide whatever looks like a secret of this program in a text: see ``hide_secrets``."""
    return hide_secrets(typed.encode("utf-8", "replace")).decode("utf-8")


def hide_secrets(typed: bytes) -> bytes:
    """Hide whatever looks like a secret of this program in what somebody typed for a name.

    People paste a token where a name goes; it must not stand in the audit or a log then.
    """

    def hidden(found: re.Match[bytes]) -> bytes:
        return _HIDDEN if len(found[0]) == TOKEN_LENGTH else _HIDDEN_OTHER

    return _SECRET.sub(hidden, typed)


def hash_secret(secret: str) -> bytes:
    """Give the 32 bytes by which a secret is kept and looked up."""
    return hashlib.sha256(secret.encode("utf-8")).digest()


_CODE_LETTERS = "BCDFGHJKLMNPQRSTVWXZ"
"""No vowels, so that no words come out, and nothing that looks like something else."""


def new_user_code(random: Callable[[int], bytes]) -> str:
    """Make a code for people to compare and to type, such as ``WDJB-MJHT`` (RFC 8628, 6.1)."""
    letters: list[str] = []
    while len(letters) < 8:
        # Bytes beyond a multiple of 20 would make some letters likelier than others.
        letters += [_CODE_LETTERS[byte % 20] for byte in random(16) if byte < 240]
    return f"{''.join(letters[:4])}-{''.join(letters[4:8])}"


def read_user_code(typed: str) -> str | None:
    """Take a code as typed, whatever its case and dash; None when it can't be one."""
    text = re.sub(r"[\s-]", "", typed[:32]).upper()
    if not re.fullmatch(f"[{_CODE_LETTERS}]{{8}}", text):
        return None
    return f"{text[:4]}-{text[4:]}"
