"""Benchmarks of scvcell beside simple baselines and peers: ``python benchmarks/run.py TABLE``."""
