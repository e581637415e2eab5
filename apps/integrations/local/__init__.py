"""Local-process compute backend: real processes on this machine, each under a witness of its own.

Nothing here may import Django at package level: the witness runs from this package and must start in
milliseconds and live on while the portal is upgraded.
"""
