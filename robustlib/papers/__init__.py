"""One package a paper, found by listing this one: its numbers, networks, tables, claims and figures."""
