# The generated layer is private and untyped; the modules around it are what has types.
from typing import Any

def __getattr__(name: str) -> Any: ...
