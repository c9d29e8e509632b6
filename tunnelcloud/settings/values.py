"""The values that settings may have: text of a TOML file in, what the program uses out."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import parse_qs, urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from tunnelcloud.domain.addresses import read_network
from tunnelcloud.domain.names import BadName, read_host
from tunnelcloud.domain.ssh_command import PublicAddress
from tunnelcloud.settings_files import parse_duration, parse_public_address, secret_path

_SIZE = re.compile(r"(\d{1,9})\s*([KMG]iB)")
_SHIFTS = {"KiB": 10, "MiB": 20, "GiB": 30}


def _network(text: str) -> str:
    return str(read_network(text))


def parse_size(text: object) -> int:
    """Read ``512KiB``, ``16MiB`` or ``1GiB`` into bytes.

    :raise ValueError: with what is allowed.
    """
    match = _SIZE.fullmatch(text.strip()) if isinstance(text, str) else None
    if match is None:
        raise ValueError('use a number and a unit, such as "512KiB", "16MiB" or "1GiB"')
    return int(match[1]) << _SHIFTS[match[2]]


def _within(least: int, most: int, allowed: str) -> AfterValidator:
    """Bound a number.

    :param allowed: the bounds as people write them.
    """

    def check(number: int) -> int:
        if not least <= number <= most:
            raise ValueError(f"use {allowed}")
        return number

    return AfterValidator(check)


def _matching(pattern: str, allowed: str) -> AfterValidator:
    def check(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise ValueError(f"use {allowed}")
        return text

    return AfterValidator(check)


def _address(default_port: int) -> BeforeValidator:
    def read(value: object) -> PublicAddress:
        if isinstance(value, PublicAddress):
            return value
        return parse_public_address(value, default_port)

    return BeforeValidator(read)


def _duration_or_never(value: object) -> int:
    return 0 if value == 0 and not isinstance(value, bool) else parse_duration(value)


def read_database_url(text: str) -> str:
    """Read where state is kept.

    :raise ValueError: with what is allowed; the text isn't in it.
    """
    if text == "sqlite" or text.startswith(("postgresql://", "postgres://")):
        return text
    raise ValueError('use "sqlite" or "postgresql://user:password@host/database"')


def has_password(url: str) -> bool:
    """Tell whether a database's URL has a password, in either of the places that libpq knows."""
    parts = urlsplit(url)
    return parts.password is not None or any("password" in one for one in parse_qs(parts.query))


def _secret_path(path: Path) -> Path:
    return secret_path(path)


def _web_url(text: str) -> str:
    if not re.fullmatch(r"https?://[^/\s]+", text.rstrip("/")):
        raise ValueError('use an address such as "https://portal.example.com"')
    return text.rstrip("/")


def read_webhook_url(text: str) -> str:
    """Check the address of a webhook.

    :raise ValueError: with what is allowed.
    """
    if not re.fullmatch(r"https://[!-~]+|http://(127\.0\.0\.1|\[::1\])[:/][!-~]*", text):
        raise ValueError('use an address such as "https://siem.example.com/tunnelcloud"')
    return _without_user(text)


def _without_user(address: str) -> str:
    if "@" in re.split(r"[/?#]", address.partition("://")[2])[0]:
        raise ValueError(
            "leave out the user name and the password before the host: nothing uses them"
        )
    return address


def _acme_directory(text: str) -> str:
    if not re.fullmatch(r"https://[!-~]+", text):
        raise ValueError('use an address such as "https://acme-v02.api.letsencrypt.org/directory"')
    return _without_user(text)


def read_certificate_name(text: str) -> str:
    """Read a host name that a certificate by ACME may be for.

    :raise ValueError: with what is allowed.
    """
    try:
        name = read_host(text)
    except BadName as error:
        raise ValueError(str(error)) from None
    if name.replace(".", "").isdigit() or ":" in name:
        raise ValueError("use a host name: addresses get no certificate by ACME here")
    return name


SecretFile = Annotated[Path, Field(strict=False), AfterValidator(_secret_path)]
Network = Annotated[str, AfterValidator(_network)]
Duration = Annotated[int, BeforeValidator(parse_duration)]
DurationOrNever = Annotated[int, BeforeValidator(_duration_or_never)]
Silence = Annotated[Duration, _within(5, 45, '"5s" to "45s"')]
Size = Annotated[int, BeforeValidator(parse_size)]
RekeyBytes = Annotated[Size, _within(1 << 16, 1 << 30, '"64KiB" to "1GiB"')]
RekeyAfter = Annotated[Duration, _within(10, 86400, '"10s" to "1d"')]
SpoolBytes = Annotated[Size, _within(1 << 20, 64 << 30, '"1MiB" to "64GiB"')]
DatabaseUrl = Annotated[str, AfterValidator(read_database_url)]
SSHAddress = Annotated[PublicAddress, _address(2222)]
LinkAddress = Annotated[PublicAddress, _address(8443)]
SyslogAddress = Annotated[PublicAddress, _address(6514)]
SmtpAddress = Annotated[PublicAddress, _address(587)]
PodName = Annotated[str, _matching(r"[a-z0-9-]{1,63}", "1 to 63 characters: a-z, 0-9 and -")]
WebUrl = Annotated[str, AfterValidator(_web_url)]
WebhookUrl = Annotated[str, AfterValidator(read_webhook_url)]
AcmeDirectory = Annotated[str, AfterValidator(_acme_directory)]
Contact = Annotated[
    str, _matching(r"[^@\s,?]+@[^@\s,?]+", 'an e-mail address such as "admin@example.com"')
]
CertificateName = Annotated[str, AfterValidator(read_certificate_name)]
File = Annotated[Path, Field(strict=False)]
AuditFormat = Literal["json", "ecs", "ocsf"]
Endpoints = list[str]
Count = Annotated[int, Field(ge=1)]


class Table(BaseModel):
    """A table of a settings file."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, arbitrary_types_allowed=True
    )
