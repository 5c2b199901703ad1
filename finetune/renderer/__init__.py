"""Training of the native renderer."""
