"""
The Linux kernel's IPsec as a sink: XFRM, spoken to by netlink.
"""
