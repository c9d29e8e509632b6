"""The gateway: who may, where to, and what is open now."""
