"""The script of DataTables, taken from the installed package itables when a site is built: none of it is kept here."""

from __future__ import annotations

import re
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from whybench.bench.errors import SiteError

PACKAGE, BUNDLE = "itables", "itables/html/dt_bundle.js"

_EXPORT = re.compile(r"export\s*\{([^{}]*)\};?")
_DEFAULT = re.compile(r"(?:^|,)\s*([\w$]+)\s+as\s+default\s*(?:,|$)")


def datatables() -> bytes:
    """DataTables as a script that gives ``window.DataTable``, with the notices of all licences.

    The package has it as a module, and a page that is opened from a file may not load modules.

    Raises:
        SiteError: The package is not there, or its script is not the one module that this is made for.
    """
    try:
        path = Path(str(distribution(PACKAGE).locate_file(BUNDLE)))
        return script(path.read_text(encoding="utf-8"))
    except PackageNotFoundError:
        raise SiteError(f"the package {PACKAGE}, which brings the script of the tables, is not installed") from None
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise SiteError(
            f"the script of the tables cannot be taken from the installed package {PACKAGE}: {error}. "
            f"Install the version that constraints.txt names."
        ) from error


def script(module: str) -> bytes:
    """A module with one default export as a script.

    Raises:
        ValueError: It has more or fewer, or imports something.
    """
    exports = _EXPORT.findall(module)
    names = [name for listed in exports for name in _DEFAULT.findall(listed)]
    if len(exports) != 1 or len(names) != 1 or re.search(r"(?m)^\s*import[\s{*\"']", module):
        raise ValueError(f"{len(exports)} exports with {len(names)} defaults where one of each was to be, or an import")
    body = _EXPORT.sub(lambda _: f"window.DataTable={names[0]};", module)
    return f'(function(){{"use strict";{body}\n}})();\n'.encode()
