"""OpenID Connect, as a relying party: a provider's configuration, and who signs in through it.

Knows neither pages nor the store; all requests to the provider go through one function, which tests
replace.
"""
