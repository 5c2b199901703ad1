"""Recordings: what a session showed and said, as an MP4 in a folder of the server's.

A session *taps* its frames and its voice into a :class:`~.recording.Recording`, whose thread puts
them on one timeline, compresses and writes them. Nothing of it waits on the event loop.
"""
