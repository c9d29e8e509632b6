"""One order of a certificate, from the account to the chain.  Blocks: for a thread of its own.

The ``acme`` library does the protocol; the pod's own code sends the requests, with limits in time
and size.  The whole order has a deadline, too; whatever goes wrong becomes an ``OrderFailed`` with
one line for an administrator.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import Any, cast

import requests
from acme import challenges, client, crypto_util, errors, messages
from attrs import field, frozen
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from josepy import errors as jose_errors
from josepy import json_util, jwa, jwk
from twisted.internet.defer import Deferred
from twisted.internet.threads import blockingCallFromThread

from tunnelcloud.net.escaping import escape
from tunnelcloud.net.fetching import Fetched, FetchFailed
from tunnelcloud.net.http_fetch import HttpFetch
from tunnelcloud.net.trusted_authorities import trusted
from tunnelcloud.pod.acme.challenges import TLS_ALPN
from tunnelcloud.settings.web import AcmeSettings

ORDER_SECONDS = 180
"""How long an order may take, validation and issuance together."""

MAX_REQUESTS = 1000
"""How often an authority may be asked for one order."""

MAX_BYTES = 8 << 20
"""How much an authority may say for one order; the library keeps all of it until the end."""

_LONGEST_LINE = 300
_MOST_REASONS = 20
_HOUR = 3600.0

Ask = Callable[[str, str, Mapping[str, str], bytes | None], Fetched]
"""Asks by method, address, headers and body, and waits for the answer; raises ``FetchFailed``."""


def asking(reactor: Any, ca: Path | None) -> Ask:
    """Make a function that sends requests to an authority, for a thread that isn't the reactor's.

    :param ca: the authorities of its HTTPS; None for the machine's.
    :raise OrderFailed: the file can't be read.
    """
    try:
        fetch = HttpFetch(reactor, trusted(ca))
    except (OSError, ValueError) as error:
        raise OrderFailed(f"web.acme.ca: {ca} can't be read: {error}") from None

    def ask(method: str, address: str, headers: Mapping[str, str], body: bytes | None) -> Fetched:
        def begin() -> Deferred[Fetched]:
            return Deferred.fromCoroutine(fetch(method, address, headers, body))

        answer: Fetched = blockingCallFromThread(reactor, cast(Any, begin))
        return answer

    return ask


class OrderFailed(Exception):
    """No certificate came of an order; the message is one line for an administrator.

    :ivar wait: seconds in which the authority wants no further request, at least.
    """

    def __init__(self, line: str, wait: float = 0.0) -> None:
        super().__init__(escape(" ".join(line.split()), _LONGEST_LINE))
        self.wait = wait


@frozen
class Issued:
    """The result of an order: the chain and its private key, in PEM."""

    chain: bytes
    private_key: bytes = field(repr=False)


@frozen
class Notebook:
    """Stores an order's challenges for other pods, and its account for later orders.

    :ivar publish: shows answers to challenges on all pods: by name for TLS-ALPN-01, by token for
        HTTP-01.
    :ivar keep_account: keeps the account for the orders to come.
    """

    publish: Callable[[Mapping[str, str]], None]
    keep_account: Callable[[bytes], None]


def order(
    settings: AcmeSettings,
    names: Sequence[str],
    account: bytes | None,
    notebook: Notebook,
    ask: Ask,
) -> Issued:
    """Get a certificate for names.

    :param account: the account that ``keep_account`` stored before; None makes a new one.
    :raise OrderFailed: no certificate came of it.
    """
    assert settings.directory is not None
    try:
        return _Order(settings, notebook, ask).run(settings.directory, names, account)
    except errors.ValidationError as error:
        raise OrderFailed(why_invalid(error)) from None
    except errors.TimeoutError:
        raise OrderFailed(
            f"the authority hasn't validated {', '.join(names)} within {ORDER_SECONDS} s"
        ) from None
    except errors.IssuanceError as error:
        raise OrderFailed(f"the authority refused: {_said(error.error)}") from None
    except messages.Error as error:
        wait = _HOUR if error.code == "rateLimited" else 0.0
        raise OrderFailed(f"the authority refused: {_said(error)}", wait) from None
    except FetchFailed as error:
        advice = ": set web.acme.ca if the authority is your own" if error.untrusted else ""
        raise OrderFailed(f"{settings.directory} can't be reached: {error}{advice}") from None
    except (
        errors.Error,
        jose_errors.Error,
        ValueError,
        LookupError,
        TypeError,
        AttributeError,
        OverflowError,
        RecursionError,
    ) as error:
        raise OrderFailed(
            f"{settings.directory} isn't an ACME authority's directory, or answers otherwise than "
            f"RFC 8555 says: {error!r}"
        ) from None


class _Session:
    """Replaces a session of the library's own HTTP client, which only limits the time of a single
    read."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._ends = time.monotonic() + ORDER_SECONDS
        self._asked = 0
        self._said = 0

    @property
    def seconds_left(self) -> float:
        return self._ends - time.monotonic()

    def request(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        data: str | None = None,
        **_: object,
    ) -> requests.Response:
        """Send a request; a redirect is an error in this protocol."""
        self._asked += 1
        if self.seconds_left <= 0:
            raise errors.TimeoutError
        if self._asked > MAX_REQUESTS:
            raise OrderFailed(f"the authority has been asked {MAX_REQUESTS} times without an end")
        if not url.startswith("https://"):
            raise OrderFailed(f"the authority names {url}, which isn't an address of HTTPS")
        fetched = self._ask(method, url, headers, None if data is None else data.encode("utf-8"))
        self._said += len(fetched.body)
        if self._said > MAX_BYTES:
            raise OrderFailed(f"the authority has said more than {MAX_BYTES} bytes without an end")
        answer = requests.Response()
        answer.url, answer.status_code = url, fetched.status
        answer.headers.update(fetched.headers)
        answer.raw = BytesIO(fetched.body)
        return answer

    def close(self) -> None:
        """Each request has a connection of its own: there is nothing to close."""


class _Order:
    def __init__(self, settings: AcmeSettings, notebook: Notebook, ask: Ask) -> None:
        self._settings = settings
        self._notebook = notebook
        self._session = _Session(ask)

    def run(self, directory: str, names: Sequence[str], account: bytes | None) -> Issued:
        try:
            acme = self._known(directory, account) or self._new(directory)
            wanted, private_key = self._begin(acme, names)
        except messages.Error as error:
            if error.code != "accountDoesNotExist":
                raise
            acme = self._new(directory)
            wanted, private_key = self._begin(acme, names)
        self._answer(acme, wanted)
        left = timedelta(seconds=self._session.seconds_left)
        deadline = datetime.now() + left  # as the library does
        done = acme.poll_and_finalize(wanted, deadline)
        return Issued(str(done.fullchain_pem).encode("ascii"), private_key)

    def _network(self, key: Any) -> Any:
        network = client.ClientNetwork(key, alg=jwa.ES256, user_agent="TunnelCloud")
        network.session = cast(requests.Session, self._session)
        return network

    def _client(self, directory: str, key: Any) -> Any:
        network = self._network(key)
        return client.ClientV2(client.ClientV2.get_directory(directory, network), network)

    def _known(self, directory: str, account: bytes | None) -> Any:
        """Return the stored account if this authority knows it; otherwise None."""
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


def why_invalid(error: Any) -> str:
    """Say for which names the authority found what wrong, the first reasons at least."""
    # The library gives an authorization once for each of its challenges that failed.
    failed = {id(one): one for one in error.failed_authzrs}.values()
    lines = (
        f"{one.body.identifier.value} by {challenge.chall.to_json()['type']}: "
        f"{_said(challenge.error)}"
        for one in failed
        for challenge in one.body.challenges
        if challenge.error is not None
    )
    return f"the authority couldn't validate {'; '.join(islice(lines, _MOST_REASONS))}"


def _said(error: Any) -> str:
    return str(error.detail or error.title or error.typ)
