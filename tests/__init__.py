"""The tests. They are installed with the package, so that an installed whybench can be tested: pytest --pyargs whybench.tests."""

if not __name__.startswith("whybench."):
    raise ImportError(
        f"{__name__!r} is a folder of the whybench repository, not a package of its own: "
        f"import it as 'whybench.{__name__}'."
    )
