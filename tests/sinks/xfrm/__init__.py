"""The sink of the Linux kernel, as far as it needs no kernel."""
