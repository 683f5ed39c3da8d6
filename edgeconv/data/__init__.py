"""Data sets as windows with class ids and subjects, and as continuous recordings."""
