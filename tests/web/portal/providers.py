"""An OpenID provider in memory, as good or as bad as a test wants it."""

import hmac
import json
import time
from base64 import b64decode, urlsafe_b64encode
from hashlib import sha256
from urllib.parse import parse_qs, parse_qsl, unquote, urlsplit

from joserfc import jwt
from joserfc.jwk import KeySet, OctKey, RSAKey

from tunnelcloud.net.fetching import Fetched, FetchFailed

_KEYS = [RSAKey.generate_key(2048, {"kid": f"key-{number}", "use": "sig"}) for number in range(3)]


class Provider:
    """A provider: it keeps what it was asked, and lies where ``lies`` says so.

    :ivar lies: claims to put into ID tokens; None leaves one out.
    """

    def __init__(self, issuer="https://login.example.com"):
        self.issuer = issuer
        self.client_id = "tunnelcloud"
        self.client_secret = "s:e/cret"
        self.published = _KEYS[:1]
        self.signer = _KEYS[0]
        self.person = {"sub": "alice-at-corp", "preferred_username": "alice"}
        self.lies = {}
        self.metadata_lies = {}
        self.algorithm = "RS256"
        self.id_token = None
        self.away = False
        self.asked = []
        self._codes = {}

    def metadata(self):
        at = self.issuer
        return {
            "issuer": at,
            "authorization_endpoint": f"{at}/authorize",
            "token_endpoint": f"{at}/token",
            "jwks_uri": f"{at}/keys",
            "userinfo_endpoint": f"{at}/userinfo",
            "end_session_endpoint": f"{at}/logout",
            "authorization_response_iss_parameter_supported": True,
            **self.metadata_lies,
        }

    def authorize(self, address, **person):
        """Do as the provider after somebody signed in there; give where it sends them back to."""
        query = dict(parse_qsl(urlsplit(address).query))
        assert query["response_type"] == "code", query
        assert query["code_challenge_method"] == "S256", query
        assert query["client_id"] == self.client_id, query
        code = sha256(f"{len(self._codes)}{self.issuer}".encode()).hexdigest()
        self._codes[code] = {**query, "person": {**self.person, **person}}
        return {"code": code, "state": query["state"], "iss": self.issuer}

    def sign(self, claims):
        header = {"alg": self.algorithm, "kid": self.signer.kid}
        return jwt.encode(header, claims, self.signer, algorithms=[self.algorithm])

    async def fetch(self, method, address, headers, body):
        self.asked.append((method, urlsplit(address).path))
        if self.away:
            raise FetchFailed("connection refused")
        answer = {
            "/.well-known/openid-configuration": self.metadata,
            "/keys": lambda: KeySet(self.published).as_dict(),
            "/token": lambda: self._token(headers, body),
            "/userinfo": lambda: self._userinfo(headers),
        }[urlsplit(address).path]()
        if answer is None:
            return Fetched(400, b'{"error": "invalid_grant"}')
        return Fetched(200, json.dumps(answer).encode())

    def _token(self, headers, body):
        form = {name: values[0] for name, values in parse_qs(body.decode()).items()}
        if "Authorization" in headers:
            kind, _, encoded = headers["Authorization"].partition(" ")
            pair = b64decode(encoded).decode().split(":")
            known = kind == "Basic" and [unquote(one) for one in pair]
        else:
            known = [form.get("client_id"), form.get("client_secret")]
        asked = self._codes.pop(form["code"], None)
        if known != [self.client_id, self.client_secret] or asked is None:
            return None
        challenge = sha256(form["code_verifier"].encode()).digest()
        padded = asked["code_challenge"] + "="
        if b64decode(padded, altchars=b"-_") != challenge:
            return None
        if form["redirect_uri"] != asked["redirect_uri"]:
            return None
        now = int(self.now())
        claims = {
            "iss": self.issuer,
            "aud": self.client_id,
            "iat": now,
            "exp": now + 300,
            "nonce": asked["nonce"],
            **asked["person"],
            **self.lies,
        }
        claims = {name: value for name, value in claims.items() if value is not None}
        return {
            "access_token": "access",
            "token_type": "Bearer",
            "id_token": self.sign(claims) if self.id_token is None else self.id_token(claims),
        }

    now = staticmethod(time.time)

    def _userinfo(self, headers):
        assert headers["Authorization"] == "Bearer access"
        return {"sub": self.person["sub"], "email": "alice@example.com", "email_verified": True}

    def rotate(self):
        """Sign with another key, which is published with the one before."""
        self.published, self.signer = _KEYS[:2], _KEYS[1]


STRANGERS_KEY = _KEYS[2]


def unsigned(claims):
    """Make a token that says it needs no signature."""
    return jwt.encode({"alg": "none"}, claims, OctKey.generate_key(256), algorithms=["none"])


def signed_with_a_public_key(claims):
    """Make a token whose secret is the provider's public key (the old confusion of HS256)."""
    header = {"alg": "HS256", "kid": _KEYS[0].kid}
    signed = b".".join(
        urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in (header, claims)
    )
    signature = hmac.digest(_KEYS[0].as_pem(private=False), signed, "sha256")
    return (signed + b"." + urlsafe_b64encode(signature).rstrip(b"=")).decode()
