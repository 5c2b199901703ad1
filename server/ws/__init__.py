"""The WebSocket path: sound in, sound and picture out, over one TCP connection.

For browsers that no UDP packet reaches. The session, its pump and its encoders are those of
:mod:`visavis.server.media`; only the way to the peer is another one.
"""
