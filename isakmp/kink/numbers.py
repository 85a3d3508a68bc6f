"""
The numbers of RFC 4430, and the error codes of Kerberos that it speaks of.
"""

from __future__ import annotations

from isakmp.numbers import Number

PORT = 910
"""UDP.  RFC 4430 section 9."""

VERSION = 1
"""MjVer.  RFC 4430 section 4."""

QUICK_MODE_VERSION = 0x10
"""QMMaj in the high four bits, QMMin in the low ones.  RFC 4430 section 4.2.6."""


class MessageType(Number):
    """What a message is for.  RFC 4430 section 4."""

    CREATE = 1
    DELETE = 2
    REPLY = 3
    GETTGT = 4
    ACK = 5
    STATUS = 6


class PayloadType(Number):
    """What a payload holds.  RFC 4430 section 4.2."""

    DONE = 0, "KINK_DONE"
    AP_REQ = 1, "KINK_AP_REQ"
    AP_REP = 2, "KINK_AP_REP"
    KRB_ERROR = 3, "KINK_KRB_ERROR"
    TGT_REQ = 4, "KINK_TGT_REQ"
    TGT_REP = 5, "KINK_TGT_REP"
    ISAKMP = 6, "KINK_ISAKMP"
    ENCRYPT = 7, "KINK_ENCRYPT"
    ERROR = 8, "KINK_ERROR"


class ErrorCode(Number):
    """What a KINK_ERROR payload says.  RFC 4430 section 4.2.8."""

    OK = 0, "KINK_OK"
    PROTOERR = 1, "KINK_PROTOERR"
    INVDOI = 2, "KINK_INVDOI"
    INVMAJ = 3, "KINK_INVMAJ"
    INTERR = 5, "KINK_INTERR"
    BADQMVERS = 6, "KINK_BADQMVERS"
    U2UDENIED = 7, "KINK_U2UDENIED"


class KerberosError(Number):
    """What a KRB-ERROR says, as far as KINK can meet it.  RFC 4120 section 7.5.9."""

    BAD_INTEGRITY = 31, "KRB_AP_ERR_BAD_INTEGRITY"
    TKT_EXPIRED = 32, "KRB_AP_ERR_TKT_EXPIRED"
    TKT_NYV = 33, "KRB_AP_ERR_TKT_NYV"
    REPEAT = 34, "KRB_AP_ERR_REPEAT"
    NOT_US = 35, "KRB_AP_ERR_NOT_US"
    BADMATCH = 36, "KRB_AP_ERR_BADMATCH"
    SKEW = 37, "KRB_AP_ERR_SKEW"
    MSG_TYPE = 40, "KRB_AP_ERR_MSG_TYPE"
    MODIFIED = 41, "KRB_AP_ERR_MODIFIED"
    MUT_FAIL = 46, "KRB_AP_ERR_MUT_FAIL"
    GENERIC = 60, "KRB_ERR_GENERIC"
    USER_TO_USER_REQUIRED = 69, "KRB_AP_ERR_USER_TO_USER_REQUIRED"
