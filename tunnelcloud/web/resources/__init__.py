"""What each operation of the API does: rows of the route table and their handlers."""
