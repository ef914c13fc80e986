"""A pickle as data: what plain pickles hold comes back, and nothing they name is called."""

from __future__ import annotations

import os
import pickle
from collections import OrderedDict
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vitime_cache.model.pickled import CodeError, Name, PickleError, read_pickle


class Nothing:
    """A reading that knows no name."""

    def named(self, name: str) -> Name:
        raise CodeError(name)

    def called(self, name: Name, arguments: tuple[Any, ...]) -> Any:  # noqa: ARG002
        raise PickleError(name.text)

    def stored(self, description: Any) -> Any:  # noqa: ARG002
        raise PickleError("stored")

    def updated(self, value: Any, state: Any) -> None:  # noqa: ARG002
        raise PickleError("updated")


plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63) + 1, 2**63 - 1) | st.floats(allow_nan=False) | st.text(),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.text() | st.integers(0, 9), inner) | st.lists(inner, max_size=5).map(tuple)
    ),
)


@given(plain)
def test_plain_data_come_back_as_pythons_own_unpickler_reads_them(value: Any) -> None:
    data = pickle.dumps(value, protocol=2)
    assert read_pickle(data, Nothing()) == pickle.loads(data) == value


def test_what_is_shared_stays_shared() -> None:
    shared = ["a"]
    one, other = read_pickle(pickle.dumps([shared, shared], protocol=2), Nothing())
    assert one is other


@pytest.mark.parametrize(
    "value", [os.getcwd, OrderedDict(a=1), {1, 2}, 1j, b"bytes", Nothing()], ids=lambda value: type(value).__name__
)
def test_anything_but_plain_data_is_refused(value: Any) -> None:
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        with pytest.raises(PickleError):
            read_pickle(pickle.dumps(value, protocol), Nothing())


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        read_pickle(b"\x80\x02" + data, Nothing())
    except PickleError as error:
        assert "\n" not in str(error)  # noqa: PT017 - either outcome is right


@pytest.mark.parametrize("key", [b")", b"]", b"}"], ids=["tuple", "list", "dict"])
def test_a_dict_has_plain_keys(key: bytes) -> None:
    with pytest.raises(PickleError, match="as the key of a dict"):
        read_pickle(b"\x80\x02}" + key + b"Ns.", Nothing())
