"""One order of a certificate, from the account to the chain.  Blocks: for a thread of its own.

The ``acme`` library does the protocol.  Each request has a deadline, and so has the whole order;
whatever goes wrong becomes an ``OrderFailed`` with one line for an administrator.
"""

from __future__ import annotations

import json
import ssl
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import requests
from acme import challenges, client, crypto_util, errors, messages
from attrs import field, frozen
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from josepy import errors as jose_errors
from josepy import json_util, jwa, jwk

from tunnelcloud.net.escaping import escape
from tunnelcloud.pod.acme.challenges import TLS_ALPN
from tunnelcloud.settings.web import AcmeSettings

REQUEST_SECONDS = 20
"""How long one request may take."""

ORDER_SECONDS = 180
"""How long validation and issuance may take together."""

_LONGEST_LINE = 300
_HOUR = 3600.0
_SYSTEM_TRUST = Path("/etc/ssl/certs/ca-certificates.crt")


class OrderFailed(Exception):
    """No certificate came of an order; the message is one line for an administrator.

    :ivar wait: seconds that the authority wants to be left alone, at least.
    """

    def __init__(self, line: str, wait: float = 0.0) -> None:
        super().__init__(escape(" ".join(line.split()), _LONGEST_LINE))
        self.wait = wait


@frozen
class Issued:
    """What came of an order: the chain and its private key, in PEM."""

    chain: bytes
    private_key: bytes = field(repr=False)


@frozen
class Notebook:
    """Where an order keeps what others have to see, or a later order needs.

    :ivar publish: shows answers to challenges on all pods: by name for TLS-ALPN-01, by token for
        HTTP-01.
    :ivar keep_account: keeps the account for the orders to come.
    """

    publish: Callable[[Mapping[str, str]], None]
    keep_account: Callable[[bytes], None]


def order(
    settings: AcmeSettings, names: Sequence[str], account: bytes | None, notebook: Notebook
) -> Issued:
    """Get a certificate for names.

    :param account: what ``keep_account`` was given before; None makes an account.
    :raise OrderFailed: no certificate came of it.
    """
    assert settings.directory is not None
    try:
        return _Order(settings, notebook).run(settings.directory, names, account)
    except errors.ValidationError as error:
        raise OrderFailed(_why_invalid(error)) from None
    except errors.TimeoutError:
        raise OrderFailed(
            f"the authority hasn't validated {', '.join(names)} within {ORDER_SECONDS} s"
        ) from None
    except errors.IssuanceError as error:
        raise OrderFailed(f"the authority refused: {_said(error.error)}") from None
    except messages.Error as error:
        wait = _HOUR if error.code == "rateLimited" else 0.0
        raise OrderFailed(f"the authority refused: {_said(error)}", wait) from None
    except requests.exceptions.SSLError as error:
        raise OrderFailed(
            f"{settings.directory} shows a certificate that isn't trusted ({_root(error)}): set "
            "web.acme.ca if the authority is your own"
        ) from None
    except requests.exceptions.RequestException as error:
        raise OrderFailed(f"{settings.directory} can't be reached: {_root(error)}") from None
    except (
        errors.Error,
        jose_errors.Error,
        ValueError,
        LookupError,
        TypeError,
        AttributeError,
    ) as error:
        raise OrderFailed(
            f"{settings.directory} isn't an ACME authority's directory, or answers otherwise than "
            f"RFC 8555 says: {error!r}"
        ) from None


class _Order:
    def __init__(self, settings: AcmeSettings, notebook: Notebook) -> None:
        self._settings = settings
        self._notebook = notebook
        # Another authority than the pods' own: it alone may be named by a file.
        own = settings.ca
        system = _SYSTEM_TRUST if _SYSTEM_TRUST.exists() else None
        self._trusted: Any = str(own or system or ssl.get_default_verify_paths().cafile or True)

    def run(self, directory: str, names: Sequence[str], account: bytes | None) -> Issued:
        try:
            acme = self._known(directory, account) or self._new(directory)
            wanted, private_key = self._begin(acme, names)
        except messages.Error as error:
            if error.code != "accountDoesNotExist":
                raise
            acme = self._new(directory)
            wanted, private_key = self._begin(acme, names)
        deadline = datetime.now() + timedelta(seconds=ORDER_SECONDS)  # as the library does
        self._answer(acme, wanted)
        done = acme.poll_and_finalize(wanted, deadline)
        return Issued(str(done.fullchain_pem).encode("ascii"), private_key)

    def _network(self, key: Any) -> Any:
        return client.ClientNetwork(
            key,
            alg=jwa.ES256,
            verify_ssl=self._trusted,
            user_agent="TunnelCloud",
            timeout=REQUEST_SECONDS,
        )

    def _client(self, directory: str, key: Any) -> Any:
        network = self._network(key)
        return client.ClientV2(client.ClientV2.get_directory(directory, network), network)

    def _known(self, directory: str, account: bytes | None) -> Any:
        """Take up an account that this authority knows; None if there is none."""
        if account is None:
            return None
        kept = json.loads(account)
        if kept["directory"] != directory:
            return None
        acme = self._client(directory, jwk.JWK.from_json(kept["key"]))
        acme.net.account = messages.RegistrationResource(
            uri=kept["uri"], body=messages.Registration()
        )
        return acme

    def _new(self, directory: str) -> Any:
        key = jwk.JWKEC(key=ec.generate_private_key(ec.SECP256R1()))
        acme = self._client(directory, key)
        if acme.external_account_required():
            raise OrderFailed(
                f"{directory} wants an account of its own customers (external account binding), "
                "which isn't supported: use another authority"
            )
        wanted = messages.NewRegistration.from_data(
            email=self._settings.contact, terms_of_service_agreed=True
        )
        made = acme.new_account(wanted)
        kept = {"directory": directory, "key": key.to_json(), "uri": made.uri}
        self._notebook.keep_account(json.dumps(kept).encode("ascii"))
        return acme

    def _begin(self, acme: Any, names: Sequence[str]) -> tuple[Any, bytes]:
        private_key = ec.generate_private_key(ec.SECP256R1()).private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
        )
        return acme.new_order(crypto_util.make_csr(private_key, list(names))), private_key

    def _answer(self, acme: Any, wanted: Any) -> None:
        """Show the answers to all challenges, then tell the authority to look."""
        by_name = self._settings.challenge == TLS_ALPN
        answers, ready = {}, []
        for one in wanted.authorizations:
            if one.body.status == messages.STATUS_VALID:
                continue
            name, challenge = one.body.identifier.value, self._challenge(one)
            # The key authorization and the response are the same for both kinds.
            token = challenge.chall.to_json()["token"]
            answer = challenges.HTTP01(token=json_util.decode_b64jose(token))
            response = answer.response(acme.net.key)
            answers[name if by_name else token] = str(response.key_authorization)
            ready.append((challenge, response))
        if ready:
            self._notebook.publish(answers)
        for challenge, response in ready:
            acme.answer_challenge(challenge, response)

    def _challenge(self, authorization: Any) -> Any:
        offered = {one.chall.to_json()["type"]: one for one in authorization.body.challenges}
        found = offered.get(self._settings.challenge)
        if found is None:
            raise OrderFailed(
                f"the authority doesn't offer {self._settings.challenge} for "
                f"{authorization.body.identifier.value}, but {', '.join(offered)}: set "
                "web.acme.challenge"
            )
        return found


def _why_invalid(error: Any) -> str:
    lines = [
        f"{one.body.identifier.value} by {challenge.chall.to_json()['type']}: "
        f"{_said(challenge.error)}"
        for one in error.failed_authzrs
        for challenge in one.body.challenges
        if challenge.error is not None
    ]
    return f"the authority couldn't validate {'; '.join(lines)}"


def _said(error: Any) -> str:
    return str(error.detail or error.title or error.typ)


def _root(error: BaseException) -> str:
    """Give the innermost cause: the library wraps the system's words several times."""
    inner: Any = error.args[0] if error.args else error
    inner = getattr(inner, "reason", None) or inner
    return str(getattr(inner, "strerror", None) or inner)
