from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import asdict, fields

import numpy as np
import pytest

from edgeconv.runtime.machine import Machine, fingerprint, processor_name

X86 = """\
processor\t: 0
vendor_id\t: GenuineIntel
model\t\t: 140
model name\t: 11th Gen Intel(R) Core(TM)  i5-1135G7 @ 2.40GHz
cpu MHz\t\t: 2400.000
flags\t\t: fpu vme

processor\t: 1
model\t\t: 140
model name\t: 11th Gen Intel(R) Core(TM)  i5-1135G7 @ 2.40GHz
cpu MHz\t\t: 900.017
"""
PI_3 = """\
processor\t: 0
model name\t: ARMv7 Processor rev 4 (v7l)
CPU implementer\t: 0x41
CPU part\t: 0xd03

Hardware\t: BCM2835
Revision\t: a02082
Serial\t\t: 00000000deadbeef
Model\t\t: Raspberry Pi 3 Model B Rev 1.2
"""
PI_5 = """\
processor\t: 0
BogoMIPS\t: 108.00
CPU implementer\t: 0x41
CPU architecture: 8
CPU variant\t: 0x4
CPU part\t: 0xd0b

Revision\t: c04170
Serial\t\t: 00000000deadbeef
Model\t\t: Raspberry Pi 5 Model B Rev 1.0
"""
BIG_LITTLE = "CPU implementer : 0x41\nCPU part : 0xd05\n\nCPU implementer : 0x41\nCPU part : 0xd0b\n"
RISC_V = "processor\t: 0\nhart\t\t: 2\nisa\t\t: rv64imafdc\nuarch\t\t: sifive,u74-mc\n"
POWER = "processor\t: 0\ncpu\t\t: POWER9, altivec supported\nclock\t\t: 2300MHz\n"


@pytest.mark.parametrize(
    ("cpuinfo", "name"),
    [
        (X86, "11th Gen Intel(R) Core(TM) i5-1135G7 @ 2.40GHz"),
        (PI_3, "Raspberry Pi 3 Model B Rev 1.2, ARMv7 Processor rev 4 (v7l)"),
        (PI_5, "Raspberry Pi 5 Model B Rev 1.0, ARM core 0xd0b of maker 0x41"),
        (BIG_LITTLE, "ARM core 0xd05+0xd0b of maker 0x41"),
        (RISC_V, "sifive,u74-mc"),
        (POWER, "POWER9, altivec supported"),
        ("", ""),
        ("nothing that is known\n: \nmodel name\t:\n", ""),
    ],
)
def test_the_processor_is_named_on_boards_too(cpuinfo, name):
    found = processor_name(cpuinfo)
    assert found == name
    assert "deadbeef" not in found


def test_it_describes_this_process():
    machine = fingerprint()
    assert machine.processor
    assert 1 <= machine.cores_available <= machine.cores == os.cpu_count()
    assert machine.numpy == np.__version__
    assert machine.python == ".".join(map(str, sys.version_info[:3]))
    assert machine.memory_gib is None or machine.memory_gib > 0.1


def test_the_id_is_of_the_hardware_alone_and_the_same_in_every_process():
    code = "from edgeconv.runtime.machine import fingerprint\nprint(fingerprint().id)"
    if hasattr(os, "sched_setaffinity"):  # fewer cores for the process are not another machine
        code = "import os\nos.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n" + code
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    machine = fingerprint()
    assert done.stdout.strip() == machine.id
    assert len(machine.id) == 12
    int(machine.id, 16)


def test_another_processor_is_another_machine(monkeypatch):
    from edgeconv.runtime import machine

    before = fingerprint().id
    monkeypatch.setattr(machine, "_processor", lambda: "another one")
    assert fingerprint().id != before


def test_it_says_nothing_about_whose_machine_it_is():
    names = {field.name for field in fields(Machine)}
    assert names == {
        "id", "architecture", "processor", "cores", "cores_available", "memory_gib", "system", "python", "numpy",
        "onnxruntime",
    }  # fmt: skip
    text = str(asdict(fingerprint()))
    for name in ("HOME", "USER", "HOSTNAME", "LOGNAME"):
        value = os.environ.get(name, "")
        assert len(value) < 4 or value not in text
