"""
A laboratory's own network, as plug-ins of isakmp: how it is protected, and how keys are agreed.
"""
