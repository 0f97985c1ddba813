"""`doctor`: every link and every right tried, from the ground up; what is wrong, and what repairs it.

`faults` (all that can be found, each with its cure) and `findings` are pure, and so are the verdicts; what
asks the outside is thin. `examination` is the order of the probes, and what hangs on what. Only reads are
done, and calls that are known to change nothing; what does change something needs its own option.
"""
