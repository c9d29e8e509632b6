"""The API's operations: rows of the route table and their handlers."""
