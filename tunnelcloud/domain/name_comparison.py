"""When two names, or two e-mail addresses, are the same.

Case counts for ASCII letters only: ``str.lower`` turns the Kelvin sign into a ``k`` and a dotted
capital I into two characters, and so makes strangers the same.  Names have nothing but ASCII.  An
e-mail address may have other characters in its local part; it is refused where it looks like
another one (where Unicode's compatibility form differs) or has characters that nobody sees.

Every door uses this module: the API, identity providers, SSH logins, the command line, the store.
"""

from __future__ import annotations

import string
import unicodedata

_FOLD = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)
_UNSEEN = frozenset({"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp", "Zs"})


def folded(text: str) -> str:
    """Give the form in which names and addresses are compared: ASCII letters in lower case."""
    return text.translate(_FOLD)


def is_unmistakable(text: str) -> bool:
    """Tell whether a text is what it looks like: no compatibility forms, nothing unseen."""
    return unicodedata.normalize("NFKC", text) == text and not any(
        unicodedata.category(character) in _UNSEEN for character in text
    )
