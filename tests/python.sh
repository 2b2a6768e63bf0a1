#!/usr/bin/env bash
# Runs a test in Python: PLUMBLINE_PYTHON where it is set (an environment with tests/requirements.txt), else python3.
exec "${PLUMBLINE_PYTHON:-python3}" -B "$@"
