"""Where the audit goes beside the store, by way of spools: a file, a syslog server, a webhook."""
