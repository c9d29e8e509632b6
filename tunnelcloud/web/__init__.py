"""The resource tree: API, admin portal, applications portal, sign-in."""
