"""Small programs for the project's own upkeep."""
