"""The pages people see: sign-in, applications portal, admin portal; all made by the server."""
