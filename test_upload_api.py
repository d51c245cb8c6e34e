"""`python test_upload_api.py`: the check of the REST API (tests/test_upload_api.py) under the name that users know."""

from __future__ import annotations

import sys

from tests.test_upload_api import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
