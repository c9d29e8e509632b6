"""Shared parameters of commands: types of values, ``--json``, and the API to connect to."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from functools import wraps
from pathlib import Path
from time import sleep
from typing import Any, TypeVar
from urllib.parse import urlsplit

import click
from attrs import field, frozen

from tunnelcloud.cli.client import Api, Failed
from tunnelcloud.cli.commands import DEFAULT_URL
from tunnelcloud.cli.output import say
from tunnelcloud.cli.saved_logins import SavedLogin, load_logins
from tunnelcloud.domain.addresses import is_loopback
from tunnelcloud.domain.durations import HOW, BadLength, read_length
from tunnelcloud.private_files import ExposedPrivateFile, UnreadablePrivateFile, read_private

TOKEN_VARIABLE = "TUNNELCLOUD_API_TOKEN"  # noqa: S105 - a variable's name
URL_VARIABLE = "TUNNELCLOUD_URL"

_Command = TypeVar("_Command", bound=Callable[..., Any])


@frozen
class Connection:
    """Where the API is and how to get the token; nothing is opened before it is needed.

    :ivar url: None for where the latest sign-in was, else this machine.
    :ivar wait: waits that many seconds, between two looks at the audit.
    """

    url: str | None
    token: str | None = field(repr=False)
    token_file: Path | None
    wait: Callable[[float], None] = sleep

    @property
    def kept(self) -> SavedLogin | None:
        """The saved sign-in for the chosen pod."""
        logins = load_logins()
        if self.url is None:
            return logins[0] if logins else None
        return next((one for one in logins if one.url == self.url.rstrip("/")), None)

    @property
    def address(self) -> str:
        """The chosen pod's address, without a slash at the end."""
        if self.url is not None:
            return self.url.rstrip("/")
        kept = self.kept
        return DEFAULT_URL if kept is None else kept.url

    @property
    def override(self) -> str:
        """What overrides a sign-in: the option or the variable; empty for neither."""
        if self.token_file is not None:
            return "--api-token-file"
        return TOKEN_VARIABLE if (self.token or "").strip() else ""

    def open(self) -> Api:
        """Make a client, which hangs up when the command ends.

        :raise click.UsageError: when the URL can't be used.
        :raise Failed: when there is no usable token.
        """
        source = self.override or "`tunnelcloud login`"
        return self._open(self._checked_address(), self._read_token(), source)

    def open_anonymously(self) -> Api:
        """Make a client of what anybody may ask.

        :raise click.UsageError: when the URL can't be used.
        """
        return self._open(self._checked_address(), None, "")

    def _checked_address(self) -> str:
        address = self.address
        try:
            parts = urlsplit(address)
            usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
        except ValueError:
            usable = False
        if not usable:
            raise click.UsageError(f"{address!r} is not a URL such as {DEFAULT_URL}")
        if parts.scheme == "http" and not is_loopback(parts.hostname or ""):
            say(f"warning: {address} is plain HTTP, so others on the way can read the API token")
        return address

    def _open(self, address: str, token: str | None, source: str) -> Api:
        api = Api(address, token, source)
        click.get_current_context().call_on_close(api.close)
        return api

    def _read_token(self) -> str:
        token = self.token
        if self.token_file is not None:
            try:
                token = _read_token_file(self.token_file).decode("ascii")
            except UnreadablePrivateFile as error:
                raise Failed(f"--api-token-file: {error}") from None
            except (OSError, UnicodeError) as error:
                reason = getattr(error, "strerror", None) or "it is not text"
                raise Failed(f"can't read the API token from {self.token_file}: {reason}") from None
        if not (token or "").strip() and (kept := self.kept) is not None:
            token = kept.token
        token = (token or "").strip()
        if not token:
            raise Failed(
                f"you are not signed in to {self.address}: run `tunnelcloud --url URL login` with"
                " your portal's address. Or use an API token: set TUNNELCLOUD_API_TOKEN, or pass"
                " --api-token-file FILE before the command (a pod's first start writes one for"
                " administrators, admin.token in its state directory)"
            )
        if not re.fullmatch(r"[!-~]+", token):
            raise Failed("the API token has characters that no token has")
        return token


def _read_token_file(path: Path) -> bytes:
    """Read a user's own file; if others can read it, too, warn of that and use it."""
    try:
        return read_private(path)
    except ExposedPrivateFile as error:
        say(f"warning: --api-token-file: {error}")
        return path.read_bytes()


pass_connection = click.make_pass_decorator(Connection)

_JSON_NAMES = ("--json", "as_json")
_JSON_HELP = "Print the API's own objects."

json_option: Callable[[_Command], _Command] = click.option(
    *_JSON_NAMES, is_flag=True, help=_JSON_HELP
)


def with_api(run: Callable[..., None]) -> Callable[..., None]:
    """Have a command opened the API, and told whether to print JSON.

    :param run: takes the API before the command's own parameters, and ``as_json`` among them.
    """

    @json_option
    @pass_connection
    @wraps(run)
    def opened(connection: Connection, /, *args: Any, **parameters: Any) -> None:
        run(connection.open(), *args, **parameters)

    return opened


def json_flag() -> click.Option:
    """Make the ``--json`` of a command that is made of data."""
    return click.Option(_JSON_NAMES, is_flag=True, help=_JSON_HELP)


def duration(text: str) -> int:
    """Read a length of time such as ``30m`` into seconds.

    :raise click.BadParameter: with what is allowed.
    """
    try:
        seconds = read_length(text)
    except BadLength:
        seconds = 0
    if not seconds:
        raise click.BadParameter(f"{text!r}: {HOW}")
    return seconds


ON_THIS_CLOCK = "by this machine's clock, unless it ends in an offset such as +01:00 or Z"
"""What the help of every option of the kind ``time`` says."""


def time(text: str) -> str:
    """Read a date or a time and give it with its offset; without one it is on this clock.

    :raise click.BadParameter: with what is allowed.
    """
    try:
        return datetime.fromisoformat(text.strip()).astimezone().isoformat()
    except (ValueError, OverflowError):
        raise click.BadParameter(
            f"{text!r}: use a date or a time such as 2026-12-31, '2026-12-31 18:00'"
            " or 2026-12-31T18:00+01:00"
        ) from None


def count(text: str) -> int:
    """Read a whole number from 1.

    :raise click.BadParameter: when it isn't one.
    """
    if not re.fullmatch(r"[1-9][0-9]{0,8}", text):
        raise click.BadParameter(f"{text!r}: use a whole number from 1")
    return int(text)


limit_option: Callable[[_Command], _Command] = click.option(
    "--limit", type=count, default="50", show_default=True, help="How many."
)


def secret(path: str) -> str:
    """Read a secret from a file: on a command line, everybody on the machine could see it.

    :raise click.BadParameter: when it can't be read.
    """
    try:
        return read_private(Path(path)).decode("utf-8").strip()
    except (ExposedPrivateFile, UnreadablePrivateFile) as error:
        raise click.BadParameter(str(error)) from None
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        raise click.BadParameter(f"can't read {path}: {reason}") from None


def whole(text: str) -> int:
    """Read a whole number, which may be negative.

    :raise click.BadParameter: when it isn't one.
    """
    if not re.fullmatch(r"-?[0-9]{1,9}", text):
        raise click.BadParameter(f"{text!r}: use a whole number")
    return int(text)


def or_nothing(read: Callable[[str], object]) -> Callable[[str], object]:
    """Read as ``read`` does; an empty text removes the value."""

    def reading(text: str) -> object:
        return read(text) if text else ""

    reading.__name__ = read.__name__
    return reading
