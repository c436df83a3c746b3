"""Benchmarks of Matou beside other registries: the same load, in turn, in one run, on the same processors.

``python -m bench`` runs them, ``python -m bench.report`` renders the measured figures. What each case does and how to
read the figures: docs/performance.md.
"""
