#!/bin/sh
# Print the first Python on PATH that the project runs on, or say clearly that there is none.
for python in ${PYTHON:-} python3 python3.12 python3.13 python3.11 python3.14; do
    if "$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))' 2>/dev/null; then
        command -v "$python"
        exit 0
    fi
done
echo "Error: no Python 3.11 to 3.14 on PATH (python3 is: $(python3 --version 2>&1 || echo none))" >&2
echo "  install one (Debian 12 and later: apt install python3) or name it: make PYTHON=/path/to/python3.12" >&2
exit 1
