"""What tools/bench_peers.py is made of: the contestants, the heats they run in, the targets and the page."""
