#!/usr/bin/env bash
# Runs a test in Python: PLUMBLINE_TEST_PYTHON where it is set (an environment with tests/requirements.txt), else python3.
# PLUMBLINE_PYTHON is the program's own: the interpreter of subjects in Python, which has to have numpy.
exec "${PLUMBLINE_TEST_PYTHON:-python3}" -B "$@"
