"""Where the programs under test are."""
import os
import pathlib

ROOT = pathlib.Path(__file__).resolve().parents[2]


def program(name):
    """The path of a built program; says what to run when it is not there."""
    path = pathlib.Path(os.environ.get("ZTUN_BIN", ROOT / ".build/release")) / name
    assert path.exists(), f"{path} is missing: run `make build`, or set ZTUN_BIN to the folder that has it"
    return str(path)
