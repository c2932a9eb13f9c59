"""Says for which rendered app a test is."""


def app(name):
    """The app of `specs/` that the test's cluster gets."""

    def mark(test):
        test.app = name
        return test

    return mark
