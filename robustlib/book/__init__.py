"""What makes the site: notebooks, generated pages and checks."""
