"""What the library's hot paths cost, as ratios to a floor and to peers: ``python -m benchmarks``."""
