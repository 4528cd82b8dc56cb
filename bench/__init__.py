"""The engine: classifier, operators, forward engine, metrics, cost, results. It knows no method, task or page."""

if not __name__.startswith("whybench."):
    raise ImportError(
        f"{__name__!r} is a folder of the whybench repository, not a package of its own: "
        f"import it as 'whybench.{__name__}'."
    )
