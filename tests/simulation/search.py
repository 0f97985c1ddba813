"""Looks for the part of a day in which a mutant is found soonest.

`python tests/simulation/search.py 0..40 [NAME]...` prints what belongs into `mutants`. To be used when what
is drawn has changed, so that every seed is another day.
"""

import gc
import logging
import math
import sys

import structlog

from presencebridge.simulation import mutants, run

FIRST_H = (0.25, 1.0, 4.0)
"""How much of each seed's day is looked at: the short ones of all seeds first, since they cost the least."""
LEADS_H = (0.03, 0.06, 0.12, 0.25, 0.5, 1.0)
"""How much is kept of what was before the fault showed."""


def looked_at(mutant, seed, faults, hours):
    """The shortest part in which it is found, and the service without it is fair."""
    with mutant.patch():
        outcome = run.play(mutants.plan_between(seed, faults, 0, hours))
    if outcome.is_fair:
        return None
    wrong_at = outcome.violations[0].at / 3600
    until = min(hours, math.ceil(wrong_at * 100 + 0.1) / 100)
    since = (math.floor(max(0.0, wrong_at - lead) * 100) / 100 for lead in LEADS_H)
    for begin in dict.fromkeys((*since, 0.0)):
        plan = mutants.plan_between(seed, faults, begin, until)
        with mutant.patch():
            is_found = not run.play(plan).is_fair
        if is_found and run.play(plan).is_fair:
            return begin, until
    return None


def search(name, seeds):
    mutant = mutants.MUTANTS[name]
    for hours in FIRST_H:
        for faults in ("none", "all"):
            for seed in seeds:
                part = looked_at(mutant, seed, faults, hours)
                if part is not None:
                    return f'{name}: {seed}, "{faults}", {part[0]}, {part[1]}'
    return f"{name}: not found"


def main():
    first, last = map(int, sys.argv[1].split(".."))
    for name in sys.argv[2:] or mutants.MUTANTS:
        print(search(name, range(first, last + 1)), flush=True)  # noqa: T201


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    gc.freeze()
    main()
