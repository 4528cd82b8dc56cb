"""Maps the top-level folders to ``whybench.<folder>``; everything else is in pyproject.toml."""

from setuptools import find_namespace_packages, setup

FOLDERS = ("bench", "methods", "tasks", "leaderboard", "tests")
# with the folders of templates, assets and checkpoints: to setuptools every folder is a package, and it warns if not;
# the results under leaderboard/ are the repository's and no part of the package
BELOW = [
    f"{folder}.{name}"
    for folder in FOLDERS
    for name in find_namespace_packages(folder, exclude=["*__pycache__*", "results", "results.*"])
]

setup(
    packages=["whybench", *(f"whybench.{name}" for name in (*FOLDERS, *BELOW))],
    package_dir={"whybench": "whybench", **{f"whybench.{folder}": folder for folder in FOLDERS}},
)
