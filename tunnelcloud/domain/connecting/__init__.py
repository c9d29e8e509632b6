"""All the ways to open one tunnel: commands, files, and the settings of graphical tools."""
