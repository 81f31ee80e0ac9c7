"""What each ``kpe`` command does and prints."""
