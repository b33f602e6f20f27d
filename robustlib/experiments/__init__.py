"""Specifications, keys, profiles, the runner and the records that it leaves."""
