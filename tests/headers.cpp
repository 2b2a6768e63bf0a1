// Holds what tests/CMakeLists.txt has parsed beforehand.
