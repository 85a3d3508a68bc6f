"""
The cryptography of RFC 2409, as functions of octets; the only door to ``cryptography``.

Nothing here knows of messages, exchanges or peers.  What is here: Diffie-Hellman groups
(:mod:`isakmp.crypto.groups`), the hash and the prf (:mod:`isakmp.crypto.prf`), the ciphers of
phase 1 (:mod:`isakmp.crypto.ciphers`), the derivation of keys (:mod:`isakmp.crypto.keys`), the
transforms of ESP (:mod:`isakmp.crypto.esp`) and fingerprints of keys
(:mod:`isakmp.crypto.fingerprints`).

Not supported, because no maintained library has it: the hash Tiger, the cipher RC5, the elliptic
curves over GF[2^N] (groups 3, 4 and 6 to 13) and brainpoolP224r1 (group 27).  AES-XCBC-MAC,
AES-GMAC and extended sequence numbers are not among the transforms of ESP.

Python cannot wipe a value from memory: RFC 2409 section 8 asks that exponents be erased after use,
and the most that can be done here is to drop the last reference to them.
"""
