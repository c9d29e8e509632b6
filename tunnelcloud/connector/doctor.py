"""Checks a connector on its own machine, whether it runs or not.

    python -m tunnelcloud.connector.doctor /etc/tunnelcloud/connector.toml

``tunnelcloud doctor`` says the same where the command line is installed.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tunnelcloud.connector.starting import Plan, read_plan
from tunnelcloud.connector.state import BadState, ConnectorState, Membership
from tunnelcloud.domain.ssh_command import PublicAddress
from tunnelcloud.link.tls import JOIN_ALPN
from tunnelcloud.net.clock_check import clock_findings
from tunnelcloud.net.doctor_findings import (
    Finding,
    Mark,
    NoAnswer,
    bad,
    good,
    resolve,
    shown_certificate,
    warning,
)
from tunnelcloud.net.escaping import escape_whole
from tunnelcloud.pki.authority_rotation import is_issued_by
from tunnelcloud.settings_files import CannotStart

_DAY = "%Y-%m-%d"


def examine_connector(plan: Plan) -> Iterator[Finding]:
    """Check, one after the other, what a connector with these settings needs."""
    directory = plan.state_directory
    membership = None
    try:
        owner = directory.stat().st_uid
        if os.geteuid() not in (0, owner):
            yield bad("state_directory", f"{directory} is another user's: run this as that user")
            return
        membership = ConnectorState(directory).load()
    except FileNotFoundError:
        pass
    except BadState as error:
        yield bad("state_directory", str(error))
        return
    except OSError as error:
        yield bad("state_directory", f"{directory}: {error.strerror}")
        return
    if directory.exists() and not os.access(directory, os.W_OK):
        yield warning(
            "state_directory",
            f"{directory} can't be written: the connector can't renew its certificate",
        )
    yield from clock_findings()
    if membership is None:
        yield bad(
            "membership",
            f"{directory} has none: start the connector with a join token, which "
            "`tunnelcloud connector create` gives",
        )
        return
    yield from _certificate(membership)
    for pod in membership.pods:
        yield _pod(plan, membership, pod)


def _certificate(membership: Membership) -> Iterator[Finding]:
    certificate, now = membership.certificate, datetime.now(UTC)
    begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if now < begins:
        yield bad(
            "clock",
            f"this machine's clock says {now:%Y-%m-%d %H:%M} UTC, and the connector's certificate "
            f"is good from {begins:%Y-%m-%d %H:%M}: set the clock",
        )
    elif now > ends:
        yield bad(
            "certificate",
            f"ended on {ends:{_DAY}}: the pods renew it by themselves for a time, if the clock "
            f"here is right ({now:%Y-%m-%d %H:%M} UTC); else make a join token with "
            "`tunnelcloud connector join-token NAME`",
        )
    elif now > membership.renew_at + timedelta(days=1):
        yield warning(
            "certificate", f"ends on {ends:{_DAY}} and wasn't renewed: have it reach a pod"
        )
    else:
        yield good("certificate", f"{membership.connector_id} until {ends:{_DAY}}")


def _pod(plan: Plan, membership: Membership, pod: PublicAddress) -> Finding:
    name = f"pod {pod}"
    proxy = plan.outgoing.proxy_for(pod)
    way = plan.outgoing.way_to(pod)
    try:
        found = ", ".join(resolve(pod.host)) if proxy is None else ""
        shown = shown_certificate(pod, JOIN_ALPN, proxy)
    except NoAnswer as why:
        return bad(name, f"{why} ({way}): look at DNS, firewall and proxy")
    if not any(is_issued_by(shown, one) for one in membership.authorities):
        return bad(
            name,
            f"the certificate is issued by {shown.issuer.rfc4514_string()} and not by this "
            f"cluster ({way}): ask for an exemption from TLS inspection",
        )
    return good(name, f"answers {way}" + (f", at {found}" if found else ""))


def main(arguments: list[str]) -> int:
    """Check, print the findings, and return the exit status."""
    from twisted.internet import reactor

    try:
        plan = read_plan(reactor, Path(arguments[0]), None)
    except CannotStart as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 1
    status = 0
    for finding in examine_connector(plan):
        print(escape_whole(str(finding)), flush=True)  # noqa: T201
        if finding.mark is Mark.BAD:
            status = 1
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
