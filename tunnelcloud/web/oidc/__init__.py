"""OpenID Connect, as a relying party: a provider's configuration, and the people it vouches for.

Knows neither pages nor the store; all requests to the provider go through one function, which tests
replace.
"""
