"""The API's objects, field by field: what may be sent and what is shown.

These models validate, and the OpenAPI document is made from them.
"""
