"""A small shop: a page, a JSON API, a database."""
