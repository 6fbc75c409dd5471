from typing import Final

EXPECTED_ABI: Final = 1
__version__: Final[str]

def cpu_path() -> str: ...
def set_cpu_path(path: str) -> None: ...
