"""Running evaluations: profiles, trained networks, the runner, the store of records and weights, cost, progress."""
