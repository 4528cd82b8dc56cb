"""The tests, installed with the package: pytest --pyargs whybench.tests, or in the repository pytest whybench/tests."""

if not __name__.startswith("whybench."):
    raise ImportError(
        f"{__name__!r} is a folder of the whybench repository, not a package of its own: "
        f"import it as 'whybench.{__name__}'."
    )
