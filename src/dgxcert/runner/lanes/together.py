"""What lanes do at the same time: each in a thread, so that what one waits for delays no other."""

import threading
from collections.abc import Callable, Sequence


def make(calls: Sequence[Callable[[], str]], over: threading.Event) -> list[str]:
    """Make calls at the same time and return what they return; one alone is made in this thread.

    Raises what the first of them raises that raises, once all have ended: `over` is set, which must end the others.

    >>> make([lambda: "gpu0", lambda: "gpu1"], threading.Event())
    ['gpu0', 'gpu1']
    """
    if len(calls) < 2:
        return [call() for call in calls]
    answers = [""] * len(calls)
    raised: list[BaseException] = []

    def work(place: int, call: Callable[[], str]) -> None:
        try:
            answers[place] = call()
        except BaseException as error:
            raised.append(error)
            over.set()

    threads = [threading.Thread(target=work, args=each, name=f"lane {each[0]}") for each in enumerate(calls)]
    for thread in threads:
        thread.start()
    try:
        _join(threads)
    except BaseException:
        over.set()
        _join(threads)
        raise
    if raised:
        raise raised[0]
    return answers


def _join(threads: list[threading.Thread]) -> None:
    for thread in threads:
        thread.join()
