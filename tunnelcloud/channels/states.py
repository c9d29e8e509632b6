"""Where the two directions of a channel stand (RFC 4254, section 5).

A channel has a state for what it sends and one for what it receives.  Neither ever goes back: a
later state has a larger value.  They depend on each other in three places only: an answered open
starts both, the peer's CLOSE also says that it wants no more, and a channel is over when both have
ended.
"""

from enum import Enum, auto


class Sending(Enum):
    """What this side may still say on a channel."""

    ASKED = auto()
    """This side asked for the channel; the peer hasn't answered."""
    GIVEN_UP = auto()
    """This side asked and has lost interest; the peer hasn't answered."""
    REQUESTED = auto()
    """The peer asked for the channel; this side hasn't answered."""
    OPEN = auto()
    """Bytes may be written."""
    ENDING = auto()
    """EOF follows what is queued."""
    CLOSING = auto()
    """EOF and CLOSE follow what is queued."""
    ENDED = auto()
    """EOF was sent."""
    UNWANTED = auto()
    """The peer's CLOSE came before this side's EOF: what is written is dropped."""
    CLOSED = auto()
    """CLOSE was sent after EOF."""
    CUT = auto()
    """CLOSE was sent without EOF, or nothing can be sent: refused, or the connection is lost."""


class Receiving(Enum):
    """What the peer may still say on a channel."""

    WAITING = auto()
    """Nothing: the open hasn't been answered."""
    OPEN = auto()
    """Bytes may come."""
    ENDED = auto()
    """EOF came."""
    CLOSED = auto()
    """CLOSE came after EOF."""
    CUT = auto()
    """CLOSE came without EOF, or nothing can come: refused, or the connection is lost."""


# Tuples: a set would hash the members, which costs more than to compare them.
UNANSWERED = (Sending.ASKED, Sending.GIVEN_UP, Sending.REQUESTED)
SENT_CLOSE = (Sending.CLOSED, Sending.CUT)
GOT_CLOSE = (Receiving.CLOSED, Receiving.CUT)
EOF_FOLLOWS = (Sending.ENDING, Sending.CLOSING, Sending.ENDED)
