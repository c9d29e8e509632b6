"""Nothing that is written down by its representation shows a secret that it has.

A log line, a traceback or an error may have any value in it: so a field for a secret is left out.
"""

import importlib
import pkgutil
import re

import attrs
from pydantic import BaseModel
from twisted.trial.unittest import SynchronousTestCase

import tunnelcloud

SECRET = re.compile(
    r"_?(\w+_)?(secret|password|passphrase|token|private_key(_pem)?|csrf|proof|cookie|credential"
    r"|recovery_codes?|sealed|device_code)"
)
"""What fields of secrets are called; ``api_token_id`` and ``password_file`` are no secrets."""

ALSO = {
    "net.fetching.Fetched.body",
    "settings.AuditWebhookSettings.url",
    "settings.DatabaseSettings.url",
    "settings.notify.NotifyWebhookSettings.url",
    "sinks.webhook.WebhookOutlet.url",
    "store.sign_in_steps.SignInStep.content",
    "web.models.credentials.Invitation.url",
    "web.models.credentials.TokenMade.command",
    "web.models.objects.JoinTokenShown.command",
    "web.portal.attempts.Attempt.device",
    "web.portal.page_requests.Moved.device",
    "web.portal.page_requests.Moved.once",
    "web.portal.page_requests.Moved.session",
    "web.portal.page_requests.Moved.step",
    "web.portal.page_requests.Shown.values",
    "web.portal.page_requests.Visit.device",
    "web.portal.page_requests.Visit.form",
    "web.portal.page_requests.Visit.once",
    "web.portal.page_requests.Visit.step",
    "web.portal.page_requests.Visit.unfinished",
    "web.portal.sealed.Unfinished.fields",
}
"""Fields that hold secrets, or may, and are called otherwise."""

PLAIN = {
    "domain.connecting.databases.Dialog.password": "what a program calls the field in its dialog",
}
"""Fields that are called so and hold no secret."""


def classes():
    """Give every class of this program that makes its representation of its fields."""
    seen = set()
    for found in pkgutil.walk_packages(tunnelcloud.__path__, "tunnelcloud."):
        if ".migrations" in found.name:
            continue
        module = importlib.import_module(found.name)
        for one in vars(module).values():
            if isinstance(one, type) and one.__module__ == module.__name__ and one not in seen:
                seen.add(one)
                yield one


def is_text(annotation):
    return re.search(r"\b(str|bytes|Any)\b|Url\b|Text\b", str(annotation)) is not None


def fields_of(one):
    """Give a class's fields that may hold a text: whether each is shown."""
    if "__attrs_attrs__" in vars(one):
        found = ((field.name, field.repr, field.type) for field in attrs.fields(one))
    elif issubclass(one, BaseModel):
        models = one.model_fields.items()
        found = ((name, field.repr, field.annotation) for name, field in models)
    else:
        found = ()
    place = f"{one.__module__.removeprefix('tunnelcloud.')}.{one.__qualname__}"
    return {f"{place}.{name}": bool(shows) for name, shows, kind in found if is_text(kind)}


class RepresentationTests(SynchronousTestCase):
    def test_no_field_for_a_secret_is_shown(self):
        found = {}
        for one in classes():
            found |= fields_of(one)
        secrets = {name for name in found if SECRET.fullmatch(name.rpartition(".")[2])} | ALSO
        self.assertEqual(ALSO - found.keys(), set(), "there are no such fields")
        shown = {name for name in secrets if found[name]}
        self.assertEqual(shown, set(PLAIN), "field(repr=False), or Field(repr=False)")
