"""Waiting for a state with a deadline; the only place where tests sleep."""
import time


def wait_for(condition, what, seconds=10.0, every=0.02):
    """Calls `condition` until it returns something true and returns that; an exception counts as not yet."""
    deadline = time.monotonic() + seconds
    last = None
    while True:
        try:
            value = condition()
            if value:
                return value
            last = value
        except Exception as error:  # noqa: BLE001 - whatever it is, it is reported below
            last = error
        if time.monotonic() >= deadline:
            raise AssertionError(f"{what}: not within {seconds} s; last seen: {last!r}")
        time.sleep(every)
