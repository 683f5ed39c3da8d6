"""Compare a candidate with its reference on real windows, and certify what was seen."""
