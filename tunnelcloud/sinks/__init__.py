"""Sends the audit to a file, a syslog server or a webhook, through spools on disk."""
