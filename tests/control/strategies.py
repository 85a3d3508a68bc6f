"""Messages and packets of vici, for hypothesis."""

from __future__ import annotations

from hypothesis import strategies as st

from isakmp.control.codec import Kind, Packet, Section

#: Any octets, as the text that stands for them; what is not UTF-8 as well.
texts = st.binary(max_size=40).map(lambda octets: octets.decode("utf-8", "surrogateescape"))
names = st.binary(max_size=20).map(lambda octets: octets.decode("utf-8", "surrogateescape"))


def _deeper(inner: st.SearchStrategy[Section]) -> st.SearchStrategy[Section]:
    values = st.one_of(texts, st.lists(texts, max_size=4), inner)
    return st.dictionaries(names, values, max_size=5)


messages: st.SearchStrategy[Section] = st.recursive(
    st.dictionaries(names, st.one_of(texts, st.lists(texts, max_size=4)), max_size=5),
    _deeper,
    max_leaves=12,
)

packets = st.one_of(
    st.builds(Packet, st.sampled_from([Kind.CMD_REQUEST, Kind.EVENT]), names, messages),
    st.builds(Packet, st.just(Kind.CMD_RESPONSE), st.just(""), messages),
    st.builds(Packet, st.sampled_from([Kind.EVENT_REGISTER, Kind.EVENT_UNREGISTER]), names),
    st.builds(Packet, st.sampled_from([Kind.CMD_UNKNOWN, Kind.EVENT_CONFIRM, Kind.EVENT_UNKNOWN])),
)
