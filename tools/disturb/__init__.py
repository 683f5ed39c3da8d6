"""What tools/disturbances.py does to recordings, and to tones."""
