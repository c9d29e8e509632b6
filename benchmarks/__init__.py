"""Figures, each beside a peer's in the same run: ``python -m benchmarks.<name>``.

They drive real processes and real clients over loopback, in turns with the peer, so that both see
the same machine in the same minutes.  A module prints our figure, the peer's, and their ratio.
"""
