"""The support bundle: what somebody needs who is to help, and nothing of whom it is about."""
