"""``python -m whybench`` is ``whybench``."""

from whybench.bench.cli import main

main()
