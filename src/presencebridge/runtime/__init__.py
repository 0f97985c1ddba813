"""The moving parts: mailboxes, timers, readers, links. Knows the core and the ports, and no vendor."""
