"""Tasks, one file each: a file dropped in here is found by its name."""

if not __name__.startswith("whybench."):
    raise ImportError(
        f"{__name__!r} is a folder of the whybench repository, not a package of its own: "
        f"import it as 'whybench.{__name__}'."
    )
