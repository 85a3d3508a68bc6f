"""Typical misconfigurations: what each end says of them."""
