"""Small real services that demonstrations and tests release."""
