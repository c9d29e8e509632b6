"""Words of the code, which nobody who reads a refusal should have to know."""

import re

OF_THE_CODE = re.compile(
    r"\b(?:Input|[Vv]alidation|[Pp]ydantic|None|NoneType|NULL|str|int|bool|dict|float|tuple|list\[|"
    r"datetime|[Ee]num|regex|pattern|dictionary|boolean|integer|literal|ValueError|TypeError|"
    r"Traceback|should (?:be|have|match)|value error|bit set)\b"
    r"|function-|\[type=|<class|object at 0x|\\x[0-9a-f]{2}|\\u[0-9a-f]{4}"
)
SNAKE = re.compile(r"\b[a-z]+(?:_[a-z]+)+\b")
BAD = (
    "", "x" * 5000, "-1", "1e99", "900", "a\x00b", "10.0.0.1/8", "2026-13-45T99:00", "9-1",
    "sit_" + "0" * 26,
    " ", "0", "A b", "\u202e", "tcptunnel", "Mon-Fri 9-5", "a@b@c", "https://x/?a=b",
)  # fmt: skip
"""What people type by mistake, and what programs send in a text's place."""


def words_of_the_code(text, *typed, allowed=()):
    """Find the words of the code in a refusal.

    :param typed: what was typed, which a refusal may repeat.
    :param allowed: names of JSON fields, which the API's answers may say.
    """
    for one in sorted(filter(str.strip, typed), key=len, reverse=True):
        text = text.replace(repr(one), "…").replace(one, "…")
    found = [match[0] for match in OF_THE_CODE.finditer(text)]
    return found + [name for name in SNAKE.findall(text) if name not in allowed]
