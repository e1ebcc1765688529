"""The committed bytes of the BPF programs are what their sources say."""
import subprocess

from support.programs import ROOT


def test_committed_bytes_are_what_the_sources_compile_to():
    result = subprocess.run([ROOT / "bpf/regenerate.sh", "--check"], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
