"""The gateway: decides who may open a tunnel, finds the way to it, and knows what is open."""
