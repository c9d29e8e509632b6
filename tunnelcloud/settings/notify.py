"""The settings of notices to administrators."""

from __future__ import annotations

from typing import Literal

from pydantic import model_validator

from tunnelcloud.domain.addresses import is_loopback
from tunnelcloud.settings.url_files import WebhookSettings
from tunnelcloud.settings.values import Contact, File, SecretFile, SmtpAddress, Table


class NotifyWebhookSettings(WebhookSettings):
    """Notices to a web address."""


class NotifySmtpSettings(Table):
    """Notices by mail."""

    server: SmtpAddress | None = None
    security: Literal["starttls", "tls", "none"] = "starttls"
    user: str | None = None
    password_file: SecretFile | None = None
    sender: Contact | None = None
    to: list[Contact] = []
    ca: File | None = None

    @model_validator(mode="after")
    def _is_whole(self) -> NotifySmtpSettings:
        if self.server is None:
            return self
        if self.sender is None or not self.to:
            raise ValueError("set sender and to as well as server")
        if (self.user is None) != (self.password_file is None):
            raise ValueError("user and password_file: set both or neither")
        if self.security == "none" and not is_loopback(self.server.host):
            raise ValueError('security = "none" is for a server on this machine alone')
        return self


class NotifySettings(Table):
    """The receivers of notices."""

    webhook: NotifyWebhookSettings = NotifyWebhookSettings()
    smtp: NotifySmtpSettings = NotifySmtpSettings()
