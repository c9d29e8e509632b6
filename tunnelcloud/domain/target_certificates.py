"""A target's certificate in words: its names, its end, and whether that is soon."""

from __future__ import annotations

from datetime import datetime, timedelta

from attrs import frozen

ENDS_SOON = timedelta(days=14)
"""How long before a certificate's end there is a warning."""


@frozen
class SeenCertificate:
    """A certificate that a target showed; it is displayed, and nothing in it is trusted.

    :ivar subject: its name as text, escaped.
    :ivar issuer: the issuer's name as text, escaped.
    :ivar ends_at: its last moment.
    :ivar fault: why this machine would not trust it, or ``""``; clients may trust other
        authorities.
    """

    subject: str
    issuer: str
    begins_at: datetime
    ends_at: datetime
    fault: str = ""

    def is_good(self, now: datetime) -> bool:
        """Tell whether it is between its first and its last moment."""
        return self.begins_at <= now <= self.ends_at

    def warning(self, now: datetime) -> str:
        """Say that it ended, hasn't begun, or ends soon; ``""`` when none of these."""
        if now > self.ends_at:
            return f"ended {_ago(now - self.ends_at)}"
        if now < self.begins_at:
            return f"isn't good before {_moment(self.begins_at)}"
        left = self.ends_at - now
        return f"ends in {_span(left)}" if left < ENDS_SOON else ""

    def text(self, now: datetime) -> str:
        """Describe it in one line, with its faults."""
        warning = self.warning(now)
        said = [
            f"certificate of {self.subject or 'nobody'} by {self.issuer or 'nobody'}",
            f"ends {_moment(self.ends_at)}" + (f": {warning}" if warning else ""),
        ]
        if self.fault:
            said.append(f"this pod would not trust it ({self.fault})")
        return ", ".join(said)


def _moment(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"


def _span(span: timedelta) -> str:
    for name, unit in (("day", timedelta(days=1)), ("hour", timedelta(hours=1))):
        count = span // unit
        if count:
            return f"{count} {name}" + ("" if count == 1 else "s")
    return "less than an hour"


def _ago(span: timedelta) -> str:
    return f"{_span(span)} ago"
