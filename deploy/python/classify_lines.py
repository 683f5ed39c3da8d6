"""Classify a live sensor: samples come in as lines of comma-separated numbers, predictions go out as they are made."""

import sys

from edgeconv.runtime import Classifier, StreamClassifier

stream = StreamClassifier(Classifier.load(sys.argv[1]), hop=32)
for line in sys.stdin:
    sample = [float(value) for value in line.split(",")]
    for prediction in stream.push([sample]):
        print(f"{prediction.end_s:7.2f} s  {prediction.label}  {prediction.confidence:.0%}", flush=True)
