"""The pod contract (docs/pod-contract.md): what a workload's pod needs to be tuned, what one lacks, and the patch.

Pure functions over manifests: JSON in, findings and manifests out. What fetches and prints them is `inspection.py`.
"""
