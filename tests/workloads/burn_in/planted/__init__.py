"""Faults of a rank in a burn-in: the tests launch this package in place of `dgxcert.workloads`."""
