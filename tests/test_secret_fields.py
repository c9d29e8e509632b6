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
    "Fetched.body",
    "AuditWebhookSettings.url",
    "DatabaseSettings.url",
    "NotifyWebhookSettings.url",
    "WebhookOutlet.url",
    "SignInStep.content",
    "Invitation.url",
    "TokenMade.command",
    "JoinTokenShown.command",
    "Attempt.device",
    "Moved.device",
    "Moved.once",
    "Moved.session",
    "Moved.step",
    "Shown.values",
    "Visit.device",
    "Visit.form",
    "Visit.once",
    "Visit.step",
    "Visit.unfinished",
    "Unfinished.fields",
}
"""Fields that hold secrets, or may, and are called otherwise."""

PLAIN = {
    "Dialog.password": "what a program calls the field in its dialog",
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
    return {
        f"{one.__qualname__}.{name}": bool(shows) for name, shows, kind in found if is_text(kind)
    }


class RepresentationTests(SynchronousTestCase):
    def test_no_field_for_a_secret_is_shown(self):
        found = {}
        for one in classes():
            for name, shows in fields_of(one).items():
                found[name] = shows or found.get(name, False)
        secrets = {name for name in found if SECRET.fullmatch(name.rpartition(".")[2])} | ALSO
        self.assertEqual(ALSO - found.keys(), set(), "there are no such fields")
        shown = {name for name in secrets if found[name]} - PLAIN.keys()
        self.assertEqual(shown, set(), "field(repr=False), or Field(repr=False)")
