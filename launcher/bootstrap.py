"""Entry of `make run`, `make test` and the others: checks the Python, then installs and starts.

This file stays readable to old Pythons, so that a wrong one gets a sentence and not a SyntaxError.
"""

import os
import sys

if sys.version_info < (3, 11):
    sys.stderr.write(
        "The portal needs Python 3.11 or newer; this is %d.%d (%s).\n"
        "Install python3.11 (with its venv module) and say: make run PYTHON=python3.11\n"
        % (sys.version_info[0], sys.version_info[1], sys.executable)
    )
    sys.exit(2)

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from launcher.install import main

if __name__ == "__main__":
    sys.exit(main())
