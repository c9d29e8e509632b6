"""How many bytes a request's body may have."""

MAX_BODY = 1024 * 1024
"""Of a whole configuration."""

MAX_FORM = 128 * 1024
"""Of everything else."""

MAX_ANONYMOUS_BODY = 16 * 1024
"""Of what nobody has to show who they are for."""
