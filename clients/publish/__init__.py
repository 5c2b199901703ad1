"""The avatar, live, into a service that takes WHIP (RFC 9725)."""
