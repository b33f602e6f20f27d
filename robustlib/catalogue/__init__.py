"""Papers as data: published numbers, items, cells and claims, and the plan of evaluations under each profile."""
