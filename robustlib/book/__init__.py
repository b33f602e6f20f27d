"""The site of the book: generated pages, the build, and checks of the result."""
