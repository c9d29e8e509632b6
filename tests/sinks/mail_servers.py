"""A mail server in the test's own process: it takes what it is sent, with TLS and a password."""

from twisted.cred.checkers import InMemoryUsernamePasswordDatabaseDontUse
from twisted.cred.portal import IRealm, Portal
from twisted.internet.defer import succeed
from twisted.mail import smtp
from twisted.mail.imap4 import PLAINCredentials
from zope.interface import implementer

USER, PASSWORD = "pod", "the password"


@implementer(smtp.IMessage)
class _Message:
    def __init__(self, factory):
        self.factory, self.lines = factory, []

    def lineReceived(self, line):
        self.lines.append(line)

    def eomReceived(self):
        self.factory.messages.append(b"\n".join(self.lines).decode())
        return succeed(None)

    def connectionLost(self):
        """It wasn't whole."""


@implementer(smtp.IMessageDelivery, IRealm)
class _Delivery:
    def __init__(self, factory):
        self.factory = factory

    def requestAvatar(self, avatar_id, mind, *interfaces):
        return smtp.IMessageDelivery, self, lambda: None

    def receivedHeader(self, helo, origin, recipients):
        return b"Received: by a test"

    def validateFrom(self, helo, origin):
        return origin

    def validateTo(self, user):
        if b"nobody" in user.dest.local:
            raise smtp.SMTPBadRcpt(user)
        return lambda: _Message(self.factory)


class MailServer(smtp.SMTPFactory):
    """Keeps messages.

    :param context: for STARTTLS; None for a server without it.
    """

    noisy = False

    def __init__(self, context=None):
        super().__init__()
        self.messages, self.context = [], context
        delivery = _Delivery(self)
        known = InMemoryUsernamePasswordDatabaseDontUse()
        known.addUser(USER.encode(), PASSWORD.encode())
        self.portal = Portal(delivery, [known])
        self.delivery = delivery

    def buildProtocol(self, address):
        challengers = {b"PLAIN": PLAINCredentials}
        protocol = smtp.ESMTP(challengers, contextFactory=self.context)
        protocol.portal, protocol.factory = self.portal, self
        protocol.delivery = None if self.context else self.delivery
        return protocol
