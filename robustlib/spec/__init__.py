"""What is trained and measured: specifications, their keys, and records."""
