"""What `prodsys.panda.wire` replaces in panda-client is still there, and is called with the same arguments."""

from __future__ import annotations

import inspect

import pytest

from prodsys.panda.wire import _http_class

REPLACED = ("get_id_token", "randomize_ip", "_build_ssl_context", "_send")


@pytest.mark.parametrize("name", REPLACED)
def test_a_replaced_method_takes_what_panda_client_gives(name: str) -> None:
    ours = _http_class()
    theirs = ours.__mro__[1]
    given = inspect.signature(getattr(theirs, name)).parameters
    taken = inspect.signature(getattr(ours, name)).parameters
    catches_all = any(one.kind is inspect.Parameter.VAR_KEYWORD for one in taken.values())
    assert catches_all or list(given) == list(taken)
    assert [one for one in list(taken)[: len(given)] if one != "_"] == [one for one in given if one in taken]


def test_the_methods_that_we_call_are_the_librarys() -> None:
    ours = _http_class()
    assert {"get", "post", "_auth_headers"}.isdisjoint(vars(ours))
    wanted = {"get": {"url", "data", "json_out", "repeating_keys"}, "post": {"url", "data", "json_out"}}
    for name, arguments in wanted.items():
        assert arguments <= set(inspect.signature(getattr(ours, name)).parameters)
