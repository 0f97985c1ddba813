"""presencebridge keeps Microsoft Teams presence and a 3CX phone system in step, both ways."""

__version__ = "0.1.0"
