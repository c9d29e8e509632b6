"""What ``tunnelcloud setup`` asks, and what an option of its command line says instead."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import click
from attrs import frozen

from tunnelcloud.cli.output import say
from tunnelcloud.cli.setup_database import Proof, Wanted
from tunnelcloud.cli.setup_plan import LETS_ENCRYPT, Answers, Tls, host_of, tls_of
from tunnelcloud.domain.names import read_host, read_name, read_user_name
from tunnelcloud.domain.totp import SECRET_BYTES, matching_step, provisioning_uri, secret_text
from tunnelcloud.settings import PodSettings
from tunnelcloud.web.portal.passwords import UnusablePassword, check_new_password

_LOCAL_PROXY = ("127.0.0.1/32", "::1/128")
_TRIES = 5
"""How many codes of a second factor setup asks for before it gives up."""

_TLS_TEXT = {
    Tls.PROXY: "a proxy of yours (nginx, Caddy, HAProxy) has the certificate",
    Tls.ACME: "the pod has port 443, and a certificate by ACME, such as from Let's Encrypt",
    Tls.CERTIFICATE: "the pod has port 443, and a certificate in files that you name",
    Tls.NONE: "no HTTPS yet: the portal is for this machine alone",
}


@frozen
class Said:
    """What the command line says; None and empty for what it leaves open.

    :ivar asks: whether what it leaves open is asked for.
    """

    asks: bool
    host: str | None = None
    tls: str | None = None
    proxies: tuple[str, ...] = ()
    certificate: Path | None = None
    private_key: Path | None = None
    contact: str | None = None
    directory: str | None = None
    admin: str | None = None
    site: str | None = None
    connector: str | None = None

    def answers(self, settings: PodSettings) -> Answers:
        """Tell how the pod is reached.

        :param settings: as they are; they are what is proposed.
        """
        host = self._text(self.host, "Name or address that others reach this machine by",
                          host_of(settings), read_host)  # fmt: skip
        tls = self._tls(settings)
        if tls is Tls.PROXY:
            now = tuple(map(str, settings.web.trusted_proxies))
            return Answers(host, tls, self.proxies or now or _LOCAL_PROXY)
        if tls is Tls.CERTIFICATE:
            paths = (
                self._path(self.certificate, "--certificate", "Certificate with its chain (PEM)",
                           settings.web.certificate),
                self._path(self.private_key, "--private-key", "Its private key (PEM)",
                           settings.web.private_key),
            )  # fmt: skip
            return Answers(host, tls, certificate=paths[0], private_key=paths[1])
        if tls is Tls.ACME:
            now_at = settings.web.acme.directory or LETS_ENCRYPT
            directory = self.directory or now_at
            known = settings.web.acme.contact or ""
            contact = self._text(self.contact, "Mail address that the authority may write to "
                                 "(empty for none)", known, str)  # fmt: skip
            return Answers(host, tls, contact=contact or None, directory=directory)
        return Answers(host, tls)

    def wanted(self) -> Wanted:
        """Tell who administers, and what the first site is."""
        admin = self._text(self.admin, "First administrator (empty for none)", "admin" if
                           self.asks else "", _or_empty(read_user_name))  # fmt: skip
        proof = _proof(admin) if admin and self.asks and _wants_password() else None
        site = self._text(self.site, "First site, a private network with servers (empty for none)",
                          "", _or_empty(read_name))  # fmt: skip
        connector = None
        if site:
            connector = self._text(self.connector, "Its connector", f"{site}-1", read_name)
        return Wanted(admin or None, proof, site or None, connector)

    def _tls(self, settings: PodSettings) -> Tls:
        if self.tls is None and self.asks:
            say("HTTPS; without HTTPS browsers sign nobody in:")
            for one, text in _TLS_TEXT.items():
                say(f"  {one.value:12}{text}")
            kind = click.Choice([one.value for one in Tls])
            default = tls_of(settings).value
            return Tls(click.prompt("HTTPS by", type=kind, default=default, err=True))
        return tls_of(settings) if self.tls is None else Tls(self.tls)

    def _text(
        self, said: str | None, question: str, default: str, read: Callable[[str], str]
    ) -> str:
        """Give what an option says, or an answer, or what would have been proposed."""
        if said is not None or not self.asks:
            return _checked(read)(default if said is None else said)
        answer: str = click.prompt(question, default, value_proc=_checked(read), err=True)
        return answer

    def _path(self, said: Path | None, option: str, question: str, default: Path | None) -> Path:
        found = said or default
        if said is None and self.asks:
            shown = None if default is None else str(default)
            found = Path(click.prompt(question, shown, err=True))
        if found is None:
            raise click.UsageError(f"--tls certificate needs {option} FILE")
        return found.resolve()


def _checked(read: Callable[[str], str]) -> Callable[[str], str]:
    def reading(text: str) -> str:
        try:
            return read(text)
        except ValueError as error:
            raise click.BadParameter(f"{text!r}: {error}") from None

    return reading


def _or_empty(read: Callable[[str], str]) -> Callable[[str], str]:
    return lambda text: read(text) if text else ""


def _wants_password() -> bool:
    say("  link        a link to choose a password, good once and for three days")
    say("  password    a password now, and a second factor with it")
    kind = click.Choice(["link", "password"])
    return bool(click.prompt("Signs in by", type=kind, default="link", err=True) == "password")


def _proof(name: str) -> Proof:
    """Have a password chosen, and a second factor set up.

    :raise click.ClickException: no code was right.
    """
    password = click.prompt(
        "Password",
        hide_input=True,
        confirmation_prompt=True,
        value_proc=partial(_new_password, name),
        err=True,
    )
    secret = os.urandom(SECRET_BYTES)
    say("Second factor: give this to an authenticator program, as a secret or as an address:")
    click.echo(f"    {secret_text(secret)}", err=True)
    click.echo(f"    {provisioning_uri(secret, name, 'TunnelCloud')}", err=True)
    for _ in range(_TRIES):
        step = matching_step(secret, click.prompt("Code that it shows", err=True), time.time())
        if step is not None:
            return Proof(password, secret, step)
        say("The code is wrong. Are the clocks of your device and of this machine right?")
    raise click.ClickException("no code was right: nothing was written")


def _new_password(name: str, text: str) -> str:
    try:
        check_new_password(text, [name])
    except UnusablePassword as error:
        raise click.BadParameter(str(error)) from None
    return text
