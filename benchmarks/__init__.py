"""Side by side with other libraries: ratios measured in one run, never absolute times."""
