"""What each table and figure of a paper needs: published numbers, cells, claims."""
