"""The settings of the web and of its certificate."""

from __future__ import annotations

import re
from typing import Literal
from urllib.parse import urlsplit

from tunnelcloud.settings.values import (
    AcmeDirectory,
    CertificateName,
    Contact,
    Endpoints,
    File,
    Network,
    Table,
    WebUrl,
)


class AcmeSettings(Table):
    """The web's certificate by ACME.

    :ivar names: whom the certificate is for; of ``web.public_url`` by default.
    """

    directory: AcmeDirectory | None = None
    contact: Contact | None = None
    names: list[CertificateName] = []
    challenge: Literal["tls-alpn-01", "http-01"] = "tls-alpn-01"
    ca: File | None = None


class WebSettings(Table):
    """The API and the portals."""

    listen: Endpoints = ["tcp:8080:interface=127.0.0.1"]
    reuse_port: bool = False
    certificate: File | None = None
    private_key: File | None = None
    public_url: WebUrl | None = None
    trusted_proxies: list[Network] = []
    acme: AcmeSettings = AcmeSettings()

    @property
    def has_own_tls(self) -> bool:
        """Whether the pod has a certificate for the web, beside those of ``ssl:`` descriptions."""
        return self.certificate is not None or self.acme.directory is not None

    @property
    def plain_listen(self) -> list[str]:
        """The listeners that know themselves whether they speak TLS."""
        return [one for one in self.listen if not self._is_ours(one)]

    @property
    def tls_listen(self) -> list[str]:
        """The listeners that show the pod's certificate, as those of plain TCP."""
        return ["tcp" + one.removeprefix("ssl") for one in self.listen if self._is_ours(one)]

    @property
    def portal_text(self) -> str:
        """Say where the portal is, by its address where that is known to all."""
        return "the Applications Portal" if self.public_url is None else f"{self.public_url}/"

    def certificate_names(self) -> list[str]:
        """Give whom a certificate by ACME is for."""
        host = urlsplit(self.public_url or "").hostname
        return self.acme.names or ([host] if host else [])

    def _is_ours(self, description: str) -> bool:
        """Tell whether an ``ssl:`` description leaves the certificate to the pod."""
        named = re.search(r":(privateKey|certKey)=", description)
        return self.has_own_tls and description.startswith("ssl:") and named is None
