"""Work spread over processes: what goes wrong in one of them is an error of the project's here."""

import os
import pickle

import pytest

from whybench.bench.errors import CorruptResultError, SiteError, UnknownNameError
from whybench.bench.workers import workers


def end(_: int) -> None:
    os._exit(1)


def fail(name: str) -> None:
    raise UnknownNameError("metric", name, ["sufficiency", "comprehensiveness"])


def test_an_error_of_another_process_is_the_one_that_was_raised_there() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'sufficiency'") as caught, workers(2) as apply:
        list(apply(fail, ["suficiency"]))
    assert (caught.value.kind, caught.value.name, caught.value.near) == ("metric", "suficiency", ["sufficiency"])


def test_a_process_that_ends_is_an_error_of_the_projects() -> None:
    with pytest.raises(SiteError, match="ended before its work was done"), workers(2) as apply:
        list(apply(end, [1]))


def test_what_an_error_holds_besides_its_message_is_pickled() -> None:
    again = pickle.loads(pickle.dumps(CorruptResultError("the folder /a/b is damaged", "it is damaged")))
    assert (str(again), again.reason) == ("the folder /a/b is damaged", "it is damaged")
