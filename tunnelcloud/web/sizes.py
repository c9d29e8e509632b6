"""How many bytes a request's body may have."""

MAX_BODY = 1024 * 1024
"""Of a whole configuration."""

MAX_FORM = 128 * 1024
"""Of everything else."""

MAX_PATH = 1024
"""Of a path, without the query; all of ours are shorter than 200."""

MAX_SEGMENTS = 32
"""How many parts a path may have; ours have ten at most."""

AT_ONCE = 1024
"""A longer form or query is read away from the reactor: each escaped character takes a
microsecond."""

MAX_ANONYMOUS_BODY = 16 * 1024
"""Of what nobody has to show who they are for."""
