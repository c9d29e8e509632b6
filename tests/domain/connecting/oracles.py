"""How shells take a line apart, written from their manuals: what quoting is held against.

Each gives the words that the program would get.
"""

import re

SINGLE_QUOTES = "'\u2018\u2019\u201a\u201b"
DOUBLE_QUOTES = '"\u201c\u201d\u201e'


class Special(AssertionError):
    """The shell would do something else than pass this on."""


def powershell_words(line):
    """Read a command in argument mode (about_Parsing, about_Quoting_Rules).

    Outside of quotes only what the manual calls literal passes; anything else is ``Special``.
    """
    words = []
    at = 0
    while at < len(line):
        if line[at] == " ":
            at += 1
            continue
        word = ""
        bare = True
        while at < len(line) and line[at] != " ":
            character = line[at]
            if character in SINGLE_QUOTES:
                bare = False
                inside, at = _powershell_quoted(line, at + 1)
                word += inside
                continue
            if character in DOUBLE_QUOTES + "`$(){};,|&<>#\r\n\t" or (
                character == "@" and not word
            ):
                raise Special(f"{character!r} in {line!r}")
            word += character
            at += 1
        if bare:
            _check_bare_in_powershell(word)
        words.append(word)
    if any('"' in word for word in words):
        raise Special("versions differ in how they pass a double quote")
    return words


def _powershell_quoted(line, at):
    """Read on to the end of a single-quoted text; two quotes in it are one."""
    text = ""
    while at < len(line):
        if line[at] in SINGLE_QUOTES:
            if line[at + 1 : at + 2] not in tuple(SINGLE_QUOTES):
                return text, at + 1
            at += 1
        text += line[at]
        at += 1
    raise Special("a quote isn't closed")


def _check_bare_in_powershell(word):
    """A parameter with a dot or a colon is taken apart; numbers are read as numbers."""
    if re.match(r"-[A-Za-z]", word) and re.search(r"[.:]", word):
        raise Special(f"{word} is read as a parameter")
    number = r"[-+]?(0x[0-9a-f]+|0b[01]+|\d+\.?\d*(e[-+]?\d+)?|\.\d+)[a-z]{0,2}"
    if re.fullmatch(number, word, re.IGNORECASE) and not re.fullmatch(r"\d+", word):
        raise Special(f"{word} is read as a number")


def cmd_line(line, environment=()):
    """Do what cmd does to a line at its prompt before a program gets it: percent signs, carets.

    :param environment: names of variables that are set.
    """

    def expand(found):
        if found[1] in environment:
            raise Special(f"{found[0]} is expanded")
        return found[0]

    # At the prompt a name that isn't set stays as it is, with its percent signs.
    line = re.sub(r"%([^%]+)(?=%)", expand, line)
    passed = ""
    quoted = False
    at = 0
    while at < len(line):
        character = line[at]
        if character == "^" and not quoted:
            at += 1
            if at == len(line):
                raise Special("the line goes on")
            passed += line[at]
        elif character == '"':
            quoted = not quoted
            passed += character
        elif character in "&|<>()" and not quoted:
            raise Special(f"{character} in {line!r}")
        else:
            passed += character
        at += 1
    return passed


def windows_words(line):
    """Take a command line apart as CommandLineToArgvW documents it."""
    words = []
    at = 0
    while at < len(line):
        while at < len(line) and line[at] in " \t":
            at += 1
        if at == len(line):
            break
        word = ""
        quoted = False
        while at < len(line) and (quoted or line[at] not in " \t"):
            slashes = re.match(r"\\*", line[at:])[0]
            at += len(slashes)
            if at < len(line) and line[at] == '"':
                word += "\\" * (len(slashes) // 2)
                if len(slashes) % 2:
                    word += '"'
                else:
                    quoted = not quoted
                at += 1
            elif slashes:
                word += slashes
            elif at < len(line):
                word += line[at]
                at += 1
        words.append(word)
    return words


def cmd_words(line, environment=()):
    """Give what a program started from cmd's prompt gets."""
    return windows_words(cmd_line(line, environment))


def systemd_words(line):
    """Take ``ExecStart=`` apart as systemd.service(5) and systemd.syntax(7) have it."""
    words = []
    for found in re.finditer(r'"((?:[^"\\]|\\.)*)"|(\S+)', line):
        word = found[1] if found[1] is not None else found[2]
        if found[2] is not None and set(word) & set("\"'"):
            raise Special(f"quotes inside of {word}")
        for escape, what in (("%", "a specifier"), ("$", "a variable")):
            if re.search(rf"(?<!\{escape})(\{escape}\{escape})*\{escape}(?!\{escape})", word):
                raise Special(f"{what} in {word}")
            word = word.replace(escape * 2, escape)
        words.append(re.sub(r"\\(.)", r"\1", word))
    return words
