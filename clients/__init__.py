"""Clients of a server, over the wire alone: for speech models, call programs and cameras."""
