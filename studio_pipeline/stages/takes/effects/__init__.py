"""What is drawn around and over the character: one file a family, each a table of tags and painters."""
