"""How this machine computes: devices, seeds, and pure functions mapped over pieces of data."""
