"""The network as SSH, web and links all meet it: sockets, addresses, floods of connections."""
