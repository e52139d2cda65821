"""The products of the embedded stack, one file each: how to start it here, and how to stop exactly that."""
