"""The shop: a service with a history."""
