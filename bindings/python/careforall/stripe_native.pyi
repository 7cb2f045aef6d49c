# The generated layer is private and untyped, as in native.pyi.
from typing import Any

def __getattr__(name: str) -> Any: ...
