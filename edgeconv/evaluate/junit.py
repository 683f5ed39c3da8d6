"""What was examined as JUnit XML, which every CI server shows: a suite for each file, a case for each limit."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence

from .examination import Check, Examination


def junit_xml(
    examinations: Mapping[str, Examination], failures: Mapping[str, str], lies: Mapping[str, Sequence[str]]
) -> str:
    """Return the XML text.

    failures: file → why it could not be run; lies: file → where the certificate does not say what was measured
    """
    root = ET.Element("testsuites", name="edgeconv verify")
    for name in dict.fromkeys((*examinations, *failures)):
        checks = [*examinations[name].checks] if name in examinations else []
        if name in failures:
            checks.append(Check("runs", failures[name]))
        if name in lies:
            checks.append(Check("certificate", "; ".join(lies[name])))
        failed = sum(bool(check.problem) for check in checks)
        suite = ET.SubElement(root, "testsuite", name=name, tests=str(len(checks)), failures=str(failed))
        if name in examinations:
            properties = ET.SubElement(suite, "properties")
            for key, value in properties_of(examinations[name]).items():
                ET.SubElement(properties, "property", name=key, value=value)
        for check in checks:
            case = ET.SubElement(suite, "testcase", classname=name, name=check.name)
            if check.problem:
                ET.SubElement(case, "failure", message=check.problem).text = check.problem
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def properties_of(seen: Examination) -> dict[str, str]:
    """Return the figures that a reader of a report wants beside passed or failed."""
    return {
        "verdict": seen.verdict,
        "accuracy": str(seen.windows.accuracy),
        "reference_accuracy": str(seen.windows.reference_accuracy),
        "max_abs_diff": str(seen.windows.max_abs_diff),
        "relative_logit_diff": str(seen.windows.relative_logit_diff),
        "top1_agreement": str(seen.windows.top1_agreement),
        "sha256": seen.sha256,
    }
