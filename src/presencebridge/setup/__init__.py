"""`init`: from a few answers to a config, a certificate, and the list of what to click.

`texts` holds every sentence in both languages; `answers` what there is to know, and where it stands in the
config; `writing` makes the config out of them, or fills them into one that is there; `clicks` is what is to
be clicked; all of these are pure. `certificate` makes the app's key. Asking is the command line's business.
"""
