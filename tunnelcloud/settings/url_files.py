"""Addresses that may be secret, in a file of their own: ``url_file`` in the place of ``url``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from pydantic import Field, model_validator

from tunnelcloud.settings.values import File, SecretFile, Table, WebhookUrl, read_webhook_url
from tunnelcloud.settings_files import read_secret

_Settings = TypeVar("_Settings", bound=Table)


def with_url(settings: _Settings, read: Callable[[str], str]) -> _Settings:
    """Complete settings by the URL of the file that they name, if they name one.

    :param read: checks a URL.
    :raise ValueError: the file can't be used, or ``url`` is set as well.
    """
    file: Path | None = getattr(settings, "url_file", None)
    if file is None:
        return settings
    if ":/" in str(file):
        # What is said of a file that can't be read names it.
        raise ValueError("url_file names a file that has the URL: the URL itself goes into url")
    if "url" in settings.model_fields_set:
        raise ValueError("set url or url_file, not both")
    return settings.model_copy(update={"url": read(read_secret(file))})


class WebhookSettings(Table):
    """A web address that is sent something, signed; its path is often all that guards it."""

    url: WebhookUrl | None = Field(default=None, repr=False)
    url_file: File | None = None
    secret_file: SecretFile | None = None

    @model_validator(mode="wrap")
    @classmethod
    def _is_signed(cls, raw: Any, read: Callable[[Any], WebhookSettings]) -> WebhookSettings:
        settings = with_url(read(raw), read_webhook_url)
        if settings.url is not None and settings.secret_file is None:
            raise ValueError("a webhook is signed: set secret_file")
        return settings
