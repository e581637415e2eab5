"""Programs that run outside the portal: in a pod or in a local process.

Nothing here imports Django or the portal's apps. The portal imports `workers.contracts` only, which is
standard library through and through; torch and transformers are loaded by the programs themselves.
"""
