"""Answers in the shapes of providers that people have, by their own documents.

What differs is what breaks a relying party: where endpoints are, whether the issuer ends with a
slash, which claims come in which answer, and which further keys are published.
"""

import json
from urllib.parse import urlsplit

from attrs import define, field
from joserfc.jwk import KeySet

from tests.web.portal.providers import Provider
from tunnelcloud.net.fetching import Fetched

_ODD_KEYS = (
    {"kty": "AKP", "kid": "post-quantum", "alg": "ML-DSA-65", "pub": "AAAA"},
    {"kty": "RSA", "kid": "for-encryption", "use": "enc", "alg": "RSA-OAEP", "n": "AQ", "e": "AQ"},
    {"kty": "EC", "kid": "unknown-curve", "crv": "secp256k2", "x": "AA", "y": "AA"},
    {"kty": "RSA", "kid": "broken", "use": "sig", "n": 7},
    {"kty": "oct", "kid": "a-secret", "k": "c2VjcmV0"},
    "not a key",
)  # fmt: skip
_USUAL = ("openid", "profile", "email")


@define
class Shape:
    """What is a provider's own.

    :ivar paths: of the endpoints; a whole address where it is on another host.
    :ivar said: in the ID token.
    :ivar told: at the userinfo endpoint.
    :ivar name: the user's that it makes here.
    :ivar grouped: a group's claim with no group in it.
    """

    paths: tuple[str, str, str, str]
    said: dict
    told: dict = field(factory=dict)
    metadata: dict = field(factory=dict)
    name: str = "alice"
    email: str | None = "alice@corp.example"
    grouped: dict | None = None
    keys: tuple = _ODD_KEYS


_MAIL = {"email": "alice@corp.example", "email_verified": True}
_GUID = "3f0d2b1c-64a1-4f0e-9c55-2f6f9f0f2a11"
SHAPES = {
    "entra": Shape(
        (
            "https://login.microsoftonline.com/TENANT-ID/oauth2/v2.0/authorize",
            "https://login.microsoftonline.com/TENANT-ID/oauth2/v2.0/token",
            "https://login.microsoftonline.com/TENANT-ID/discovery/v2.0/keys",
            "https://graph.microsoft.com/oidc/userinfo",
        ),
        {
            "name": "Alice A.", "oid": "00000000-0000-0000-66f3-3332eca7ea81", "ver": "2.0",
            "preferred_username": "Alice@corp.onmicrosoft.com", "tid": "TENANT-ID",
            "groups": [_GUID, "another"], "rh": "0.A", "uti": "x",
        },
        {"name": "Alice A.", "email": "alice@corp.example", "picture": "https://x.example"},
        {"token_endpoint_auth_methods_supported": [
            "client_secret_post", "private_key_jwt", "client_secret_basic"]},
        email=None,
        grouped={"groups": []},
    ),
    "okta": Shape(
        ("/v1/authorize", "/v1/token", "/v1/keys", "/v1/userinfo"),
        {"ver": 1, "amr": ["pwd"], "idp": "00o", "preferred_username": "alice@corp.example",
         "groups": ["Everyone", "dba"], "auth_time": 1},
        {**_MAIL, "preferred_username": "alice@corp.example", "zoneinfo": "Europe/Paris"},
        grouped={"groups": ["Everyone"]},
    ),
    "google": Shape(
        (
            "https://accounts.google.com/o/oauth2/v2/auth",
            "https://oauth2.googleapis.com/token",
            "https://www.googleapis.com/oauth2/v3/certs",
            "https://openidconnect.googleapis.com/v1/userinfo",
        ),
        {**_MAIL, "azp": "CLIENT-ID.apps.googleusercontent.com", "hd": "corp.example",
         "at_hash": "x"},
    ),
    "keycloak": Shape(
        (
            "/protocol/openid-connect/auth", "/protocol/openid-connect/token",
            "/protocol/openid-connect/certs", "/protocol/openid-connect/userinfo",
        ),
        {**_MAIL, "typ": "ID", "azp": "tunnelcloud", "acr": "1", "sid": "x",
         "preferred_username": "alice", "groups": ["/dba", "/all"],
         "realm_access": {"roles": ["offline_access"]}},
        metadata={"authorization_response_iss_parameter_supported": True},
        grouped={"groups": []},
    ),
    "authentik": Shape(
        (
            "https://auth.example.com/application/o/authorize/",
            "https://auth.example.com/application/o/token/",
            "https://auth.example.com/application/o/tunnelcloud/jwks/",
            "https://auth.example.com/application/o/userinfo/",
        ),
        {**_MAIL, "acr": "goauthentik.io/providers/oauth2/default", "nickname": "alice",
         "preferred_username": "alice", "groups": ["authentik Admins", "dba"]},
        grouped={"groups": []},
    ),
    "zitadel": Shape(
        ("/oauth/v2/authorize", "/oauth/v2/token", "/oauth/v2/keys", "/oidc/v1/userinfo"),
        {"amr": ["pwd"], "azp": "123456789012345678", "client_id": "123456789012345678"},
        {**_MAIL, "preferred_username": "alice@corp.zitadel.cloud", "locale": None,
         "urn:zitadel:iam:org:project:roles": {"dba": {"2839": "corp.zitadel.cloud"}}},
        grouped={"urn:zitadel:iam:org:project:roles": {}},
    ),
    "cognito": Shape(
        (
            "https://corp.auth.eu-west-1.amazoncognito.com/oauth2/authorize",
            "https://corp.auth.eu-west-1.amazoncognito.com/oauth2/token",
            "/.well-known/jwks.json",
            "https://corp.auth.eu-west-1.amazoncognito.com/oauth2/userInfo",
        ),
        {"token_use": "id", "cognito:groups": ["dba"], "cognito:username": "alice",
         "origin_jti": "x"},
        {"username": "alice", "email": "alice@corp.example", "email_verified": "true"},
        grouped={"cognito:groups": ["everybody"]},
    ),
    "auth0": Shape(
        ("authorize", "oauth/token", ".well-known/jwks.json", "userinfo"),
        {**_MAIL, "nickname": "alice", "name": "alice@corp.example", "sid": "x",
         "https://portal.example.com/groups": ["dba"]},
        grouped={"https://portal.example.com/groups": []},
    ),
    "gitlab": Shape(
        ("/oauth/authorize", "/oauth/token", "/oauth/discovery/keys", "/oauth/userinfo"),
        {**_MAIL, "sub_legacy": "f00", "preferred_username": "alice", "nickname": "alice",
         "groups_direct": ["corp/dba", "corp/dba/inner"], "auth_time": 1},
        {"groups": ["corp", "corp/dba"]},
        grouped={"groups_direct": []},
    ),
    "adfs": Shape(
        ("/oauth2/authorize/", "/oauth2/token/", "/discovery/keys", "/userinfo"),
        {"upn": "Alice@corp.example", "unique_name": "CORP\\alice", "group": "DBA",
         "authmethod": "urn:oasis:names:tc:SAML:2.0:ac:classes:PasswordProtectedTransport",
         "appid": "CLIENT-ID", "apptype": "Confidential", "sid": "S-1-5-21"},
        metadata={"access_token_issuer": "http://adfs.corp.example/adfs/services/trust"},
        email=None,
        grouped={"group": ["Domain Users"]},
    ),
}  # fmt: skip


class ShapedProvider(Provider):
    """A provider of one shape, at the issuer and for the client that its settings name."""

    def __init__(self, shape, issuer, client_id):
        super().__init__(issuer)
        self.shape = shape
        self.client_id = client_id
        self.person = {"sub": "248289761001", **shape.said}
        self.told = shape.told

    def _at(self, path):
        return path if path.startswith("https://") else self.issuer + path

    def metadata(self):
        names = ("authorization_endpoint", "token_endpoint", "jwks_uri", "userinfo_endpoint")
        return {
            "issuer": self.issuer,
            **dict(zip(names, map(self._at, self.shape.paths), strict=True)),
            **self.shape.metadata,
            **self.metadata_lies,
        }

    def authorize(self, address, **person):
        answer = super().authorize(address, **person)
        if not self.shape.metadata.get("authorization_response_iss_parameter_supported"):
            del answer["iss"]
        return answer

    def keys(self):
        return {"keys": [*self.shape.keys, *KeySet(self.published).as_dict()["keys"]]}

    async def fetch(self, method, address, headers, body):
        self.asked.append((method, urlsplit(address).path))
        found = self.metadata()
        answers = {
            f"{self.issuer.rstrip('/')}/.well-known/openid-configuration": lambda: found,
            found["jwks_uri"]: self.keys,
            found["token_endpoint"]: lambda: self._token(headers, body),
            found["userinfo_endpoint"]: lambda: {"sub": self.person["sub"], **self.told},
        }
        answer = answers[address]()
        if answer is None:
            return Fetched(400, b'{"error": "invalid_grant"}')
        return Fetched(200, json.dumps(answer).encode())
