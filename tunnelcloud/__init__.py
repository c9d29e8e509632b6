"""TunnelCloud: TCP connections to servers in private sites, through plain SSH."""

__version__ = "0.1.0"
