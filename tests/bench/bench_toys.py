"""Contestants for the tests of the measuring; a module of their own, so that other processes can import it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from edgeconv.bench import Contestant
from edgeconv.runtime import InputError


def sleeper(seconds=0.001, answer=None, log=None, units=1.0):
    """Sleep, and write down when: `pid began ended`, on a clock that all processes share."""

    def run():
        began = time.monotonic()
        time.sleep(seconds)
        if log is not None:
            with Path(log).open("a") as file:
                file.write(f"{os.getpid()} {began} {time.monotonic()}\n")

    return Contestant(run, units=units, check=lambda: answer)


def process_id():
    return Contestant(lambda: None, check=os.getpid, facts={"pid": os.getpid()})


def counter():
    """Say at the end how often it ran."""
    facts = {"runs": 0}

    def run():
        facts["runs"] += 1
        time.sleep(0.002)

    return Contestant(run, facts=facts)


def own_clock():
    return Contestant(lambda: [1.0, 2.0, 3.0], units=3, own_clock=True)


def memory(mib):
    held = np.ones(mib << 20, np.uint8)
    return Contestant(lambda: held[0])


def talker():
    print("this is no result", flush=True)
    return Contestant(lambda: None)


def crowded():
    """Compute on a core that another process wants as much."""
    core = min(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {core})
    code = "import time\nend = time.time() + 20\nwhile time.time() < end: pass"
    rival = subprocess.Popen([sys.executable, "-c", code])

    def run():
        if rival.poll() is not None:
            raise RuntimeError("the rival has gone")
        sum(range(100_000))

    return Contestant(run, check=lambda: rival.pid)


def fails(how, when="make"):
    def fail():
        if how == "input":
            raise InputError("a channel is missing")
        if how == "bug":
            raise KeyError("weights\nsecond line")
        os._exit(7)

    if when == "make":
        fail()
    return Contestant(fail if when == "run" else lambda: None, check=fail if when == "check" else lambda: None)


def cannot_be_pickled():
    return Contestant(lambda: None, check=lambda: lambda: None)
