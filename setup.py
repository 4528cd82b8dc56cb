"""Maps the top-level folders to ``whybench.<folder>``; everything else is in pyproject.toml."""

from setuptools import find_packages, setup

FOLDERS = ("bench", "methods", "tasks", "leaderboard", "tests")
BELOW = [f"{folder}.{package}" for folder in FOLDERS for package in find_packages(folder)]

setup(
    packages=["whybench", *(f"whybench.{name}" for name in (*FOLDERS, *BELOW))],
    package_dir={"whybench": "whybench", **{f"whybench.{folder}": folder for folder in FOLDERS}},
)
