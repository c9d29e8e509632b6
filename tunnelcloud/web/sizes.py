"""How large a request, and what it brings, may be."""

MAX_BODY = 1024 * 1024
"""How many bytes the body of a whole configuration may have."""

MAX_FORM = 128 * 1024
"""How many bytes any other body may have."""

MAX_ANONYMOUS_BODY = 16 * 1024
"""How many bytes a body may have if nobody has to show who they are for the request."""

MAX_PATH = 1024
"""How many bytes a path may have, without the query; all of ours are shorter than 200."""

MAX_SEGMENTS = 32
"""How many parts a path may have; ours have ten at most."""

FIELDS_AT_ONCE = 1024
"""How many bytes of a form or a query are read in the reactor's thread; each escaped character
takes a microsecond."""
