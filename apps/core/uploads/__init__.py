"""Uploads in pieces: resumable, of any size, in constant memory; taken into their target all or none.

The protocol is tus 1.0's (offset, checksum, conflict, termination, expiration) with this API's envelope. This package
knows no domain: apps register what files can be added to (:mod:`apps.core.uploads.targets`).
"""
