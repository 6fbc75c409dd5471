"""gmemx is of one interpreter; another one of the same process is refused by ImportError."""

import subprocess
import sys
import textwrap

PROGRAM = """
    import sys
    import gmemx
    try:
        import _interpreters as interpreters
    except ImportError:
        import _xxsubinterpreters as interpreters

    inner = '''if True:
        try:
            import gmemx
        except ImportError:
            pass  # NumPy's or gmemx's own, whichever comes first
        else:
            raise AssertionError("it was imported")
        open({path!r}, "a").write("refused ")
    '''
    for _ in range(3):
        made = interpreters.create()
        run = getattr(interpreters, "exec", None) or interpreters.run_string
        assert run(made, inner) is None
        interpreters.destroy(made)
    assert gmemx.GMemContext(42)[0] == 0.07779688409536653
"""


def test_a_second_interpreter_is_refused_and_the_first_goes_on(tmp_path):
    path = tmp_path / "said"
    program = textwrap.dedent(PROGRAM).replace("{path!r}", repr(str(path)))
    done = subprocess.run([sys.executable, "-I", "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert path.read_text() == "refused " * 3
