"""Passwords that are guessed first: made of words that everybody takes, of rows and repetitions.

A list of whole passwords can't do this alone: of those with twelve characters and more, guessing
programs make most by putting such parts together.  So a password is read as parts: a common word, a
name of its user, a year, a row of keys and a repetition count as little as one other character.
The words are those that lead all published lists of passwords that were stolen.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache

from tunnelcloud.domain.name_comparison import folded

LEAST_PARTS = 8
"""Of so many parts a password has to be made: as many characters as it would need by itself."""

_LOOKED_AT = 128
"""Characters; further ones make no password easier to guess."""

_SHORTEST_ROW = 3
_SHORTEST_NAME = 3
_WORDS = """
    abcd access account admin administrator alexander amanda america andrew angel anthony apple
    april arsenal ashley august austin azerty babygirl bailey banana barcelona baseball
    basketball batman biteme blink blue bonjour boss buster butterfly change changeme charlie
    cheese chelsea chester chicken chocolate cisco company computer cookie corona cowboy dallas
    daniel december default demo diamond dragon eagle eagles elephant elizabeth england enter
    family february ferrari fishing flower football forever freedom friday friends fuck gandalf
    george ginger gold golfer google guest hallo hammer hannah harley heather hello hockey home
    hunter iceman iloveyou india internet jackson james january jasmine jennifer jessica jesus
    jordan joseph joshua july june justin killer king knight ladybug letmein liverpool login
    london looking love lovely lover maggie manager march marina martin master matrix matthew
    maverick merlin michael michelle microsoft midnight monday money monkey monster morgan
    mother mustang naruto natasha network nicole november october office online oracle orange
    parola pass passphrase passw passwd passwor password passwort patrick peanut pepper phoenix
    player please pokemon porsche postgres princess private purple qazwsx qwer qwert qwerty
    qwertz rachel ranger remember robert rocket root samantha samsung saturday scooter secret
    secure security september server service sexy shadow silver simple snoopy soccer solo sparky
    spiderman spring starwars steelers steven summer sunday sunshine super superman superuser
    support system taylor temp temporary test tester testing thomas thunder thursday tiger
    tigger toor travis trustno tuesday tunnel tunnelcloud user vagrant victoria vpn warrior
    wednesday welcome whatever william willkommen windows winner winter wizard yankees yellow
    zaq
"""

_KEYS = (
    "1234567890", "qwertyuiop", "qwertzuiop", "azertyuiop", "asdfghjkl", "zxcvbnm", "yxcvbnm",
    "1qaz2wsx3edc4rfv5tgb", "qazwsxedcrfv", "!@#$%^&*()", '!"§$%&/()=',
)  # fmt: skip
_ROWS = tuple(row for keys in _KEYS for row in (keys, keys[::-1]))
_LOOKS_LIKE = {
    "a": "4@", "b": "8", "e": "3", "g": "9", "i": "1!", "l": "1", "o": "0", "s": "5$", "t": "7",
    "z": "2",
}  # fmt: skip
_YEAR = "(?:19|20)[0-9]{2}"


def is_guessable(password: str, names: Iterable[str] = ()) -> bool:
    """Tell whether a new password is among those that are guessed first.

    :param names: of its user, such as the login name and the e-mail address.
    """
    text = folded(password)[:_LOOKED_AT]
    expected = [_common_words(), *map(_pattern, filter(None, [_words_of(names)]))]
    place = parts = 0
    while place < len(text) and parts < LEAST_PARTS:
        words = [match.end() - place for one in expected if (match := one.match(text, place))]
        place += max(1, *words, _row(text, place), _repeated(text, place))
        parts += 1
    return parts < LEAST_PARTS


@cache
def _common_words() -> re.Pattern[str]:
    return _pattern(_WORDS.split(), _YEAR)


def _words_of(names: Iterable[str]) -> list[str]:
    """Give the words that names are made of."""
    words = {word for name in names for word in re.split(r"[\W_]+", folded(name))}
    return [word for word in words if len(word) >= _SHORTEST_NAME]


def _pattern(words: Iterable[str], *more: str) -> re.Pattern[str]:
    """Match a word, also with figures and signs that look like its letters.

    :param more: further patterns.
    """
    longest_first = sorted(words, key=len, reverse=True)
    return re.compile("|".join([*("".join(map(_letter, word)) for word in longest_first), *more]))


def _letter(letter: str) -> str:
    return f"[{letter}{_LOOKS_LIKE[letter]}]" if letter in _LOOKS_LIKE else re.escape(letter)


def _row(text: str, place: int) -> int:
    """Tell how long the row is that begins at a place: of neighbours in the alphabet or on a
    keyboard, or of one character; 0 for none.
    """
    return max(_steps(text, place), *(_along(text, place, row) for row in _ROWS))


def _steps(text: str, place: int) -> int:
    end = place + 1
    step = ord(text[end]) - ord(text[place]) if end < len(text) else 2
    while end < len(text) and abs(step) <= 1 and ord(text[end]) - ord(text[end - 1]) == step:
        end += 1
    return end - place if end - place >= _SHORTEST_ROW else 0


def _along(text: str, place: int, row: str) -> int:
    start = row.find(text[place : place + _SHORTEST_ROW])
    if start < 0 or place + _SHORTEST_ROW > len(text):
        return 0
    length = _SHORTEST_ROW
    while text[place : place + length + 1] == row[start : start + length + 1] and (
        place + length < len(text)
    ):
        length += 1
    return length


def _repeated(text: str, place: int) -> int:
    """Tell how much of what comes at a place was there before; 0 for too little to count."""
    length = 0
    while place + length < len(text) and text[place : place + length + 1] in text[:place]:
        length += 1
    return length if length >= _SHORTEST_ROW else 0
