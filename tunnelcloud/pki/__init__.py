"""Keys and certificates: the pods' own CA, the certificates it signs, SSH host keys.

Everything works on bytes, since several pods share one CA through their database; the
`load_or_make` functions look into the directory in which earlier versions kept it.  This room knows
neither sockets nor the store, and takes the time as an argument.
"""
