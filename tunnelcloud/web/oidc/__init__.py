"""OpenID Connect, as a relying party: what a provider says of itself, and whom it vouches for.

Knows neither pages nor the store; what is asked of the provider goes through one function, which
takes the place of the network in tests.
"""
