"""What a paper consists of: published numbers, items, cells and claims; the plan that profiles make of them."""
