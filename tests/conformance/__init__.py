"""
Which requirement of which RFC is proved by which test.

The requirements are rows in the files ``rfcN.toml`` here: what each asks in our words, whether it
applies, and why not.  A test that proves one says so in its docstring, in a line of its own::

    Proves: RFC 2408 section 3.1 (row 3.1-4)

and one that proves something else about an RFC::

    Proves: RFC 2408 section 3.1

``python -m tests.conformance`` collects these lines, runs those tests and, if all of them pass,
writes ``doc/reference/conformance.rst``; it fails, and says which, if a requirement applies and no
test proves it.  With ``--check`` it runs nothing, and says whether each has its test, whether the
tests name rows that exist, and whether that page is what the tests say.
"""
